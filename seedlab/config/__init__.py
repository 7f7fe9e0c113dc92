"""From a composed Hydra configuration to checked, typed settings."""
