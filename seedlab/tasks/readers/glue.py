"""`GlueReader`: GLUE tasks, from a folder of the original files or from the hub."""

from __future__ import annotations

from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.glue_files import glue_source
from seedlab.tasks.readers.glue_hub import hub_source
from seedlab.tasks.readers.glue_tasks import glue_task
from seedlab.tasks.readers.raw import Source
from seedlab.tasks.readers.reader import PathUse


class GlueReader:
    """Reads the tasks of `seedlab.tasks.readers.glue_tasks`."""

    name = "glue"
    settings: tuple[str, ...] = ()
    path: PathUse = "optional"

    def check(self, spec: TaskSpec) -> None:
        """Refuse a name that is not a GLUE task."""
        glue_task(spec.name)

    def source(self, spec: TaskSpec) -> Source:
        """Return the original files in `task.path`; without a path, the hub."""
        return hub_source(spec) if spec.path is None else glue_source(spec)
