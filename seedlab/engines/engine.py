"""`Engine`: the protocol by which a pack of runs is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

from seedlab.models.pretrained import Weights
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.loop import Callbacks
from seedlab.training.result import RunResult


class Engine(Protocol):
    """One way to compute a pack; `seedlab.engines.ENGINES` lists all engines.

    The serial engine is the specification: every other one agrees with it to rounding, and
    repeats its own bits. `tests/suites/engine.py` states both as tests.
    """

    @property
    def name(self) -> str:
        """Value of `engine.name` that selects the engine."""

    @classmethod
    def of(cls, settings: EngineSpec) -> Self:
        """Return the engine that the settings describe."""

    def circumstances(self, device: str) -> dict[str, Any]:
        """Return the values that decide a run's bits besides the run and the versions of libraries.

        A run resumes from a checkpoint only if these values are the same.

        Parameters
        ----------
        device : str
            ``cpu`` or ``cuda``.

        Returns
        -------
        dict of str to int, str, bool or None
        """

    def train(
        self,
        runs: Sequence[RunSpec],
        task: EncodedTask,
        weights: Weights,
        callbacks: Callbacks,
    ) -> Iterator[RunResult]:
        """Train runs and yield one result per run, each as soon as it is complete.

        Parameters
        ----------
        runs : sequence of RunSpec
            Runs of one task, model, precision and evaluation.
        task : EncodedTask
        weights : Weights
            Loaded for this task. The runs are trained on its device.
        callbacks : Callbacks
            Scoring, progress and checkpoints.

        Raises
        ------
        SeedlabError
            When the engine can't train the runs, or they do not fit into memory.
        """
