"""Statistics of the diagnostics recorded during training."""
