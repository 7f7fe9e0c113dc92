"""Where packs run: Hydra's launcher and sweeper, worker processes, the application."""
