"""The variance of scores: components, tests, failure rates, noise floor."""
