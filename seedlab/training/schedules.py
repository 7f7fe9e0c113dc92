"""Learning-rate schedules: the multiplier of the peak rate at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from seedlab.errors import SeedlabError, nearest


@dataclass(frozen=True)
class Length:
    """How long a run is, which is all that a schedule may look at.

    Parameters
    ----------
    total, warmup, per_epoch : int
        Steps in all, of the warm-up, and of one epoch.
    whole_batches : int
        Steps of the run if examples and not batches were counted: ``int(examples / batch)``.
    """

    total: int
    warmup: int
    per_epoch: int
    whole_batches: int


Schedule = Callable[[int, Length], float]
"""(number of the step, length of the run) -> multiplier of the peak rate"""


def linear(step: int, length: Length) -> float:
    """Rise from 0 over the warm-up, then fall to 0 at `total` (as transformers does)."""
    if step < length.warmup:
        return step / length.warmup
    return (length.total - step) / max(1, length.total - length.warmup)


def cosine(step: int, length: Length) -> float:
    """Rise from 0 over the warm-up, then fall to 0 at `total` along half a cosine."""
    if step < length.warmup:
        return step / length.warmup
    done = (step - length.warmup) / max(1, length.total - length.warmup)
    return 0.5 * (1.0 + math.cos(math.pi * done))


def constant(step: int, length: Length) -> float:
    """Rise from 0 over the warm-up, then stay."""
    return step / length.warmup if step < length.warmup else 1.0


def dodge2020_as_released(step: int, length: Length) -> float:
    """Apply BertAdam's schedule twice, once restarting every epoch.

    The code released with Dodge et al. 2020 sets the rate to lr w(k/T), with k counted from
    the start of the epoch, and hands it to an optimiser that multiplies by w(s/T) again; w
    rises to 1 at the warm-up's end and is 1 - x from there, and T counts
    examples and not the shorter last batches, so that the last steps can be slightly negative.
    """
    share = length.warmup / length.total

    def w(x: float) -> float:
        return x / share if x < share else 1.0 - x

    return w((step % length.per_epoch) / length.whole_batches) * w(step / length.whole_batches)


SCHEDULES: dict[str, Schedule] = {
    "linear": linear,
    "cosine": cosine,
    "constant": constant,
    "dodge2020_as_released": dodge2020_as_released,
}


def get_schedule(name: str) -> Schedule:
    """Return a schedule by name.

    Raises
    ------
    SeedlabError
        Naming the schedules there are.
    """
    if name not in SCHEDULES:
        raise SeedlabError(
            f"recipe.schedule.name={name} does not exist; allowed: {', '.join(SCHEDULES)}."
            f"{nearest(name, SCHEDULES)}"
        )
    return SCHEDULES[name]
