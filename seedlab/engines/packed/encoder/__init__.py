"""The written-out forward and backward pass of a stack of encoders."""
