"""A study on the terminal: its status and its table of scores."""
