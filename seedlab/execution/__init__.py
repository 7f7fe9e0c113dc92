"""Training of a pack in this process, with checkpoints and records."""
