"""Panels on predictions: disagreement of runs, examples that flip, and recipes compared."""
