"""The methods of a report as a paragraph for a paper, with its sources."""
