"""Repetition of recorded runs, bit for bit: verify, save, intermediate tasks, loss surfaces."""
