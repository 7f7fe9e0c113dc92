"""`EmbeddedReader`: the tasks that seedlab generates itself."""

from __future__ import annotations

from seedlab.errors import SeedlabError, nearest
from seedlab.spec.run import TaskSpec
from seedlab.tasks.embedded.task import TASKS, generator_hash, make
from seedlab.tasks.readers.raw import Source
from seedlab.tasks.readers.reader import PathUse


class EmbeddedReader:
    """Generates the tasks of `seedlab.tasks.embedded.task`."""

    name = "embedded"
    settings = ("examples", "dev_examples", "noise", "data_seed")
    path: PathUse = "unused"

    def check(self, spec: TaskSpec) -> None:
        """Refuse a name that is not an embedded task."""
        if spec.name not in TASKS:
            raise SeedlabError(
                f"task.name={spec.name} is not an embedded task; allowed with "
                f"task.reader=embedded: {', '.join(TASKS)}.{nearest(spec.name, TASKS)} Data of "
                "your own: task=table."
            )

    def source(self, spec: TaskSpec) -> Source:
        """Return the generator; the examples depend on its code and on the settings alone."""
        values = (spec.name, spec.examples, spec.dev_examples, spec.noise, spec.data_seed)
        return Source(f"embedded/{generator_hash()}/{values}", lambda: make(spec))
