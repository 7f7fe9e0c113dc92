"""Early stopping of runs: cohorts, brackets, promotion, deferred decisions."""
