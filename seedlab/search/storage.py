"""The Optuna storage of a search: opening, checking and closing it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from analysis.rules.pruners import SequentialPruner
from seedlab.errors import SeedlabError
from seedlab.search.settings import SearchSettings
from seedlab.search.trials import SearchStudy

Direction = Literal["minimize", "maximize"]

IDENTITY = "search"
"""User attribute of a study: the values that must not change when the search continues."""


@contextlib.contextmanager
def open_study(
    settings: SearchSettings,
    distributions: Mapping[str, BaseDistribution],
    identity: Mapping[str, Any],
    folder: Path | None,
    metric_minimised: bool,
) -> Iterator[SearchStudy]:
    """Open the study of a search, new or begun before.

    Parameters
    ----------
    settings : SearchSettings
    distributions : mapping of key to optuna distribution
    identity : mapping
        Values that must equal those of the begun search, as JSON holds them.
    folder : Path or None
        The study's folder; None stores nothing (for a dry run).
    metric_minimised : bool
        Whether a lower score is better.

    Raises
    ------
    SeedlabError
        When another search is on record under this name.
    """
    directions: list[Direction] = [
        "minimize" if objective.minimised(metric_minimised) else "maximize"
        for objective in settings.objectives
    ]
    name = settings.study_name or (folder.resolve().name if folder else "dry")
    with _quiet(), _storage(settings.storage, folder) as storage:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=directions,
            pruner=_pruner(settings),
            load_if_exists=True,
        )
        described = {**identity, "directions": directions}
        begun = study.user_attrs.get(IDENTITY)
        if begun is None:
            study.set_user_attr(IDENTITY, described)
        elif begun != described:
            differing = sorted(k for k in {*begun, *described} if begun.get(k) != described.get(k))
            changes = "; ".join(
                f"{k}: {begun.get(k)} then, {described.get(k)} now" for k in differing
            )
            raise SeedlabError(
                f"the search '{name}' was begun with other values ({changes}). Repeat its command to "
                "continue it (trials may be raised), or begin another one with study=NAME."
            )
        yield SearchStudy(study, settings, distributions)


def storage_url(storage: str, folder: Path) -> str:
    """Return the argument of `optuna-dashboard`: a URL, or the path of a journal file."""
    if storage == "sqlite":
        return f"sqlite:///{folder / 'optuna.db'}"
    return str(folder / "optuna.log") if storage == "journal" else storage


@contextlib.contextmanager
def _storage(storage: str, folder: Path | None) -> Iterator[BaseStorage | None]:
    if folder is None:
        yield None
    elif storage == "journal":
        yield JournalStorage(JournalFileBackend(storage_url(storage, folder)))
    else:
        opened = RDBStorage(storage_url(storage, folder))
        try:
            yield opened
        finally:
            opened.remove_session()
            opened.engine.dispose()


def _pruner(settings: SearchSettings) -> BasePruner:
    if not settings.looks:
        return NopPruner()
    if settings.pruner == "wilcoxon":
        with warnings.catch_warnings():
            # Optuna warns that the pruner may change. Users can do nothing about it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return WilcoxonPruner(p_threshold=settings.alpha)
    return SequentialPruner(
        settings.looks,
        max(settings.trials - 1, 1),
        alpha=settings.alpha,
        statistic=settings.statistic,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's messages on studies and trials."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
