"""The executor's protocol, and the parts that every executor needs."""

EXECUTORS = {"local": "seedlab.launch.workers.pool:LocalExecutor"}
"""module and class of every executor, by its name in ``hydra.launcher.executor``"""
