"""The Hydra application behind `seedlab run`, and the text of its dry run."""
