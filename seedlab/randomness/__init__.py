"""Random number streams: counter-based generators keyed by stream name and seed."""
