"""The encoder that seedlab ships: its pre-training and its model card."""
