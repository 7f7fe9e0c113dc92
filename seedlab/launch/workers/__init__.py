"""Local worker processes and the messages between them and the launcher."""
