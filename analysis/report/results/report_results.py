"""All results of one report: the groups, and the study as a whole."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.data.early_stopped import unselected
from analysis.data.study import Study
from analysis.report.results.group_results import GroupResults

# Numbered, so that a new name changes no random number of the others.
STREAMS = {"comparison": 0, "predictions": 1, "tasks": 2}


@dataclasses.dataclass(frozen=True)
class ReportResults:
    """The input of every part of a report.

    Attributes
    ----------
    study : Study
        All runs as recorded.
    groups : list of GroupResults
        In the order of the study.
    surfaces : sequence of DataFrame
        Loss surfaces, from `loss_surfaces.read_surface`.
    barriers : sequence of DataFrame
        Lines between runs, from `loss_surfaces.read_barrier`.
    seed : numpy SeedSequence
        Decides the random numbers of every part; see `generator`.
    bands_seed : numpy SeedSequence
        Decides the shuffles behind the means of seeds; see `bands_generator`.
    """

    study: Study
    groups: list[GroupResults]
    surfaces: Sequence[pd.DataFrame] = ()
    barriers: Sequence[pd.DataFrame] = ()
    seed: np.random.SeedSequence = dataclasses.field(
        default_factory=lambda: np.random.SeedSequence(0)
    )
    bands_seed: np.random.SeedSequence = dataclasses.field(
        default_factory=lambda: np.random.SeedSequence(0)
    )

    @property
    def unselected(self) -> Study:
        """The study without final scores that early stopping selected."""
        return unselected(self.study)

    def by(self, per: str) -> list[list[GroupResults]]:
        """The groups one by one ("group"), task by task ("task"), or together ("study")."""
        if per == "group":
            return [[group] for group in self.groups]
        if per == "task":
            tasks = dict.fromkeys(group.key.task for group in self.groups)
            return [[g for g in self.groups if g.key.task == task] for task in tasks]
        return [self.groups]

    def generator(self, name: str, number: int = 0) -> np.random.Generator:
        """A generator of its own for the part called `name`.

        It follows from the report's seed, the name and the number alone: a new part
        changes the random numbers of no other.
        """
        stream = STREAMS.get(name, zlib.crc32(name.encode()))
        key = (*self.seed.spawn_key, stream, number)
        return np.random.default_rng(np.random.SeedSequence(self.seed.entropy, spawn_key=key))

    def bands_generator(self, group: GroupResults) -> np.random.Generator:
        """The generator that shuffles the scores of a group for its chance bands."""
        place = next(k for k, other in enumerate(self.groups) if other is group)
        return np.random.default_rng([*self.bands_seed.generate_state(2), place])
