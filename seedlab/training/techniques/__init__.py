"""One technique per module; each knows tensors, keys and numbers alone."""
