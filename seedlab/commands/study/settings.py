"""The scored runs of a study by setting; see `seedlab.store.tables.setting_names`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from seedlab.store.chosen import ScoredRun
from seedlab.store.record import Record
from seedlab.store.tables.setting_names import named_settings


class Setting(NamedTuple):
    """The runs of one setting.

    Parameters
    ----------
    recipe : str
        The label of `seedlab.store.tables.setting_names.NamedSetting`.
    runs : tuple of ScoredRun
        At least one.
    """

    recipe: str
    runs: tuple[ScoredRun, ...]

    @property
    def like(self) -> Record:
        """Record of one of the runs; task, model, metric and majority are those of all."""
        return self.runs[0].record


def settings_of(runs: Iterable[ScoredRun]) -> list[Setting]:
    """Return the settings of some runs, sorted by task, model, recipe, metric and differences."""
    given = list(runs)
    # By identity, because records of two studies may have one id.
    of = {id(run.record): run for run in given}
    return [
        Setting(found.label, tuple(of[id(record)] for record in found.records))
        for found in named_settings(run.record for run in given)
    ]
