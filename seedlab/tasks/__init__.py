"""Tasks: readers, the embedded tasks, tokenisation and metrics.

The package itself imports nothing: engines need `seedlab.tasks.encoded` alone, on machines
that may have only torch, transformers and numpy.
"""
