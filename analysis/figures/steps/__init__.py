"""Figures over the updates of training: losses of several recipes, learning rates."""
