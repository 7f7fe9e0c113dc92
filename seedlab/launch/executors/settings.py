"""`LauncherSettings`: the values of ``hydra.launcher``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from seedlab.errors import SeedlabError, nearest
from seedlab.launch.display.displays import check_mode
from seedlab.launch.executors import EXECUTORS


@dataclass(frozen=True)
class LauncherSettings:
    """The values of ``hydra.launcher``; its configuration class explains them.

    Parameters
    ----------
    options : mapping of str to object
        Keys that an executor's own configuration class adds; empty for the local executor.
    """

    executor: str
    slots: int | None
    gpus: tuple[int | str, ...] | None
    retries: int
    start_timeout: float
    progress: str
    heartbeat: float
    give_up_after: int | None = 3
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings of a launcher's configuration; unknown keys become options.

        Raises
        ------
        SeedlabError
            When a value is out of range.
        """
        names = {each.name for each in fields(cls)} - {"options"}
        known = {name: value for name, value in values.items() if name in names}
        gpus = known.pop("gpus")
        options = {name: value for name, value in values.items() if name not in names}
        return cls(**known, gpus=None if gpus is None else tuple(gpus), options=options)

    def __post_init__(self) -> None:
        check_mode(self.progress)
        executor_class(self.executor)
        if self.retries < 0:
            raise SeedlabError(
                f"hydra.launcher.retries is {self.retries}; it must be 0 (a run whose worker dies "
                "is not tried again) or more."
            )
        if self.give_up_after is not None and self.give_up_after < 1:
            raise SeedlabError(
                f"hydra.launcher.give_up_after is {self.give_up_after}; it must be a number of "
                "failures above 0, or null (every run is tried)."
            )
        for name in ("start_timeout", "heartbeat"):
            if not getattr(self, name) > 0:
                raise SeedlabError(
                    f"hydra.launcher.{name} is {getattr(self, name)}; it must be a number of "
                    "seconds above 0."
                )


def executor_class(name: str) -> Any:
    """Return the class of an executor.

    Parameters
    ----------
    name : str
        A name of `EXECUTORS`, or ``MODULE:CLASS``.

    Raises
    ------
    SeedlabError
        When there is no such executor.
    """
    module, colon, attribute = EXECUTORS.get(name, name).partition(":")
    if not colon:
        raise SeedlabError(
            f"hydra.launcher.executor is '{name}'; it must be one of {', '.join(EXECUTORS)}, or "
            f"MODULE:CLASS for an executor outside seedlab.{nearest(name, EXECUTORS)}"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SeedlabError(
            f"hydra.launcher.executor is '{name}', which can't be imported ({error}); it must be "
            f"one of {', '.join(EXECUTORS)}, or MODULE:CLASS on Python's search path."
        ) from error
