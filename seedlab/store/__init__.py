"""A study on disk: run folders, claims, checkpoints, decisions and exported tables."""
