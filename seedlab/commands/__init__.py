"""The command line: one module per verb that has some work of its own."""
