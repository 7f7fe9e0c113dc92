"""Models: pre-trained weights, heads, initialisation, keyed dropout and parameter groups."""
