"""Conformance suites: an implementation passes by subclassing (see each module)."""
