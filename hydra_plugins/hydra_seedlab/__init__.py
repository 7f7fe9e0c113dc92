"""seedlab's launcher and sweeper, where Hydra looks for them; the substance is in `seedlab`."""
