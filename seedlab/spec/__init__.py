"""Specifications of runs, packs and policies as frozen values, without torch."""
