"""The registry of readers: the only place that lists them."""

from __future__ import annotations

from collections.abc import Mapping

from seedlab.allowed import OneOf
from seedlab.spec.run import TaskSpec
from seedlab.tasks.embedded.reader import EmbeddedReader
from seedlab.tasks.readers.glue import GlueReader
from seedlab.tasks.readers.raw import Source
from seedlab.tasks.readers.reader import Reader
from seedlab.tasks.readers.user_table import TableReader

_ALL: tuple[Reader, ...] = (EmbeddedReader(), GlueReader(), TableReader())
READERS: Mapping[str, Reader] = {reader.name: reader for reader in _ALL}
"""Every reader, by the value of `task.reader` that selects it."""


def find_source(spec: TaskSpec) -> Source:
    """Return the source of a task's examples.

    Raises
    ------
    SeedlabError
        For an unknown reader, settings that it refuses, and files that do not exist.
    """
    OneOf(tuple(READERS)).check("task.reader", spec.reader)
    reader = READERS[spec.reader]
    reader.check(spec)
    return reader.source(spec)
