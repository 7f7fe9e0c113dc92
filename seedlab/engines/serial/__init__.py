"""The serial engine: one run after another. It is the specification."""
