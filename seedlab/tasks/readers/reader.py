"""`Reader`: the protocol by which a task's examples are found and read."""

from __future__ import annotations

from typing import Literal, Protocol

from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.raw import Source

PathUse = Literal["unused", "optional", "working folder"]
"""The use that a reader makes of `task.path`.

``unused``
    A given path is refused.
``optional``
    Without a path the reader takes the examples from elsewhere.
``working folder``
    Without a path the reader gets the folder in which the command was given.
"""


class Reader(Protocol):
    """One way to get examples; `seedlab.tasks.registry` lists all readers.

    Class attributes satisfy the properties.
    """

    @property
    def name(self) -> str:
        """Value of `task.reader` that selects the reader."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of `TaskSpec` that this reader uses and others may not.

        A changed field is refused where the task's reader does not list it. Fields that
        apply to every task (`max_length`, `train_size`, `folds`, ...) are not listed.
        """

    @property
    def path(self) -> PathUse:
        """The use that the reader makes of `task.path`."""

    def check(self, spec: TaskSpec) -> None:
        """Refuse settings that can't be read, before any file is opened.

        Raises
        ------
        SeedlabError
            Naming the setting, its value and the allowed ones.
        """

    def source(self, spec: TaskSpec) -> Source:
        """Return the identity of the examples, and the function that reads them.

        Parameters
        ----------
        spec : TaskSpec
            A specification that `check` accepts.

        Raises
        ------
        SeedlabError
            When a file does not exist.
        """
