"""Sizes that decide how much memory a pack takes."""
