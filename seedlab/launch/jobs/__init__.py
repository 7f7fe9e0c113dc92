"""What is launched: jobs, the applications they belong to, work items and slots."""
