"""The embedded tasks: sentences of a grammar, with labels."""
