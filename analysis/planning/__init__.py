"""Numbers of runs for a question, and the best use of a budget."""
