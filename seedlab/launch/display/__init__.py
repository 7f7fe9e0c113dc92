"""The display of a running launch."""
