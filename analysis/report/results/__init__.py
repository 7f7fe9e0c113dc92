"""Results that the report shows: estimates per group, tables, numbers as text."""
