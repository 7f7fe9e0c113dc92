"""Run folders: written once, claimed while in work, exported as tidy tables."""
