"""Readers of examples: GLUE files, the hub, tables of one's own."""
