"""The Hydra application behind `seedlab run`: plan, dry run, packs."""
