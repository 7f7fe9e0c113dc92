"""Figures on predictions over seeds: disagreement of runs, and votes example by example."""
