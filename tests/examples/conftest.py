"""The example of a technique runs in a copy of the repository (`test_technique.py`)."""

collect_ignore = ["technique"]
