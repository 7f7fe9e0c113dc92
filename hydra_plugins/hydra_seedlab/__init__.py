"""seedlab's launcher and sweepers, in the namespace that Hydra searches for plugins."""
