"""Tables of runs, read and checked."""
