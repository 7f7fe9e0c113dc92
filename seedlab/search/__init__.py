"""Hyperparameter search whose replicates are seeds."""
