"""The score of the best of n runs: expectation, median, bands, chance of a target."""
