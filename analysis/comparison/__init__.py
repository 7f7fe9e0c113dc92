"""Comparison of recipes: paired, by distribution, by prediction."""
