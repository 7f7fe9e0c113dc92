"""Tasks: readers, the embedded tasks, tokenisation and metrics.

The package itself imports nothing. Engines import `seedlab.tasks.encoded` alone, on machines
that may have only torch, transformers and numpy.
"""
