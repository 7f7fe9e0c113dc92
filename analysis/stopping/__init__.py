"""The value of early-stopping plans."""
