"""The packed engine: trains the runs of a column together, as stacked computations."""
