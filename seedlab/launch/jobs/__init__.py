"""Jobs, the applications that they belong to, work items and slots."""
