"""Launching: a batch of Hydra's jobs becomes packs, which an executor hands to workers."""
