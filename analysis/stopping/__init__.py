"""What early stopping is worth."""
