"""Grids of fine-tuning seeds: trained together, stored safely, exported as tables."""
