"""`Event` and `Outcome`: reports of a worker to the launcher, during a pack and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["started", "stepped", "evaluated", "finished", "stopped", "failed", "skipped"]


@dataclass(frozen=True)
class Event:
    """Something that happened to one run.

    Parameters
    ----------
    kind : str
        - ``started``
        - ``stepped``: a step count and nothing else, about one a second
        - ``evaluated``: `step` and `score`
        - ``finished``: `score`; the run reached its end or diverged, and its record is in the
          store. The order matters: a run that was announced is not trained again when its worker
          dies a moment later.
        - ``stopped``: the same for a run that was trained up to a rung, `step`, and may be resumed
        - ``failed``: `message`
        - ``skipped``: another process trains it
    run_id : str
    step, total_steps : int
        Updates made and updates that the recipe asks for; 0 when unknown.
    score : float or None
        The primary metric on the validation set.
    message : str
        Text for the user.
    higher_is_better : bool
        Direction of `score`.
    setting : str
        Runs of one setting differ in their seeds alone; only their scores are put together.
    """

    kind: Kind
    run_id: str
    step: int = 0
    total_steps: int = 0
    score: float | None = None
    message: str = ""
    higher_is_better: bool = True
    setting: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of one run of a pack.

    Parameters
    ----------
    status : str
        ``recorded``: its result is in the store, now or from before. Diverged and stopped runs have
        results too. ``failed``: it raised `error`. ``skipped``: another process
        has its claim, and the launcher asks again later.
    score : float or None
        Value that the job returns.
    error : str
        The traceback of a failed run.
    """

    status: Literal["recorded", "failed", "skipped"]
    score: float | None = None
    error: str = ""
