"""What several runs reach together: averages and votes of their predictions."""
