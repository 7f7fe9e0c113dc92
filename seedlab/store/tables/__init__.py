"""Tidy tables of a study."""
