"""Repetition of recorded runs, bit for bit: verify, save, average, intermediate tasks, loss surfaces."""
