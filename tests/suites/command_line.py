"""What the tests of whole commands have in common."""

from __future__ import annotations

SMALL = [
    "task=acceptability",
    "task.examples=64",
    "task.dev_examples=48",
    "recipe.max_steps=6",
    "recipe.optimizer.learning_rate=1e-3",
    "hydra.launcher.slots=1",
    "engine.threads=1",
]
"""Overrides that make a study of a few seconds."""
