"""The data and weights that a run names."""
