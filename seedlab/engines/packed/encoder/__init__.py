"""Stacked encoder: forward pass, backward pass and optimiser for several runs at once."""
