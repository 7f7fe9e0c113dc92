"""The Optuna storage of a search: opening, checking and closing it."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

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
        with _refusing_damage(settings.storage, folder, Exception):
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=directions,
                pruner=_pruner(settings),
                load_if_exists=True,
            )
            begun = study.user_attrs.get(IDENTITY)
            study.get_trials(deepcopy=False)  # A damaged trial is found now.
        described = {**identity, "directions": directions}
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
        with _refusing_damage(settings.storage, folder, SQLAlchemyError, StorageInternalError):
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
        with _refusing_damage(storage, folder, Exception):
            journal = JournalStorage(JournalFileBackend(storage_url(storage, folder)))
        yield journal
    else:
        with _refusing_damage(storage, folder, Exception):
            if storage == "sqlite":
                _check_pages(folder / "optuna.db")
            opened = RDBStorage(storage_url(storage, folder))
        try:
            yield opened
        finally:
            opened.remove_session()
            opened.engine.dispose()


def _check_pages(file: Path) -> None:
    """Raise an error if the pages of an SQLite file contradict each other."""
    if not file.is_file():
        return
    with contextlib.closing(
        sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    ) as database:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


@contextlib.contextmanager
def _refusing_damage(storage: str, folder: Path | None, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these classes into a refusal that names the storage.

    Libraries raise errors of any class while they open a damaged storage.
    """
    try:
        yield
    except SeedlabError:
        raise
    except kinds as error:
        if folder is None:
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        place = storage_url(storage, folder).removeprefix("sqlite:///")
        raise SeedlabError(
            f"the storage of the search, {place}, can't be used ({type(error).__name__}: {reason}). "
            "The runs of the study are safe. Restore the storage, or move it away and repeat the "
            "command: the search begins anew and trains no recorded run twice."
        ) from error


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
