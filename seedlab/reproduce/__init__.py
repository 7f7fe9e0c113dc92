"""Repeating a recorded run bit for bit: verify, save, intermediate tasks, loss surfaces."""
