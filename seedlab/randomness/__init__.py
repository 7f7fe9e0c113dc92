"""Streams of random numbers, keyed by name and seed."""
