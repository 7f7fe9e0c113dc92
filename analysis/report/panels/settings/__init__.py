"""Panels on settings: sweeps over them, and the learning rates that follow from them."""
