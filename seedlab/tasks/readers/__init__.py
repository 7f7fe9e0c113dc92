"""Readers of examples: GLUE files, the hub, tables of the user."""
