"""The packed engine: the runs of a column trained as one computation."""
