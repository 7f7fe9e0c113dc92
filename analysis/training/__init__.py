"""What recorded diagnostics say about training."""
