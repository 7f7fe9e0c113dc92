"""The training loop and its parts: batches, schedules, optimisers, histories and checkpoints."""
