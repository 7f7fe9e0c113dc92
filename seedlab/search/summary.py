"""`summary`: the result of a search as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from seedlab.search.settings import SearchSettings
from seedlab.search.space import SearchSpace
from seedlab.search.storage import storage_url
from seedlab.search.trials import SCORES, VALUES, SearchStudy

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "dropped",
    TrialState.FAIL: "failed",
}


def summary(study: SearchStudy, settings: SearchSettings, space: SearchSpace, folder: Path) -> str:
    """Return a table of the trials (best first), the best settings and the storage's address.

    Parameters
    ----------
    study : SearchStudy
        A study whose trials are all decided.
    settings : SearchSettings
    space : SearchSpace
    folder : Path
        The study's folder.
    """
    best = study.best_trials
    labels = _labels(space.distributions)
    header = ["trial", "state", "seeds", *map(str, settings.objectives), *labels.values()]
    marked = {trial.number for trial in best}
    rows = [
        [
            f"{trial.number}{'*' if trial.number in marked else ''}",
            _STATES[trial.state],
            str(len(trial.user_attrs.get(SCORES, []))),
            *(_number(value) for value in _values(trial, len(settings.objectives))),
            *(_number(trial.params.get(key)) for key in labels),
        ]
        for trial in _ranked(study)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [header, *rows]
    ]
    seeds = sum(len(trial.user_attrs.get(SCORES, [])) for trial in study.trials)
    lines.append(
        f"{len(rows)} settings, {seeds} runs; all seeds for all of them: "
        f"{len(rows) * settings.seeds}."
    )
    if not best:
        lines.append("No setting was finished.")
    for trial in best:
        lines.append(f"* trial {trial.number}: {' '.join(space.overrides(trial.params))}")
    if best:
        lines.append(
            "The best of many looks better than it is: train it with other seeds before you report it."
        )
    lines.append(f"Look at the search: optuna-dashboard {storage_url(settings.storage, folder)}")
    return "\n".join(lines)


def _ranked(study: SearchStudy) -> list[FrozenTrial]:
    """Return the trials in the order complete, dropped, failed, best first within each."""
    sign = 1.0 if study.minimised else -1.0
    states = list(_STATES)

    def key(trial: FrozenTrial) -> tuple[int, float, int]:
        value = _values(trial, 1)[0]
        return states.index(trial.state), 0.0 if value is None else sign * value, trial.number

    return sorted(study.trials, key=key)


def _values(trial: FrozenTrial, count: int) -> list[float | None]:
    return list(trial.user_attrs.get(VALUES) or [None] * count)


def _labels(keys: Mapping[str, Any]) -> dict[str, str]:
    """Return the last part of every key, or all of it where two end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)
    }


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
