"""Figures of sweeps: scores over one swept number, and over two."""
