"""What the best of n runs is expected to score."""
