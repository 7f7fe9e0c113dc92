"""Learning-rate schedules: the multiplier of the peak rate at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from seedlab.errors import SeedlabError, nearest


@dataclass(frozen=True)
class Length:
    """The length of a run in steps; a schedule depends on nothing else.

    Parameters
    ----------
    total, warmup, per_epoch : int
        Steps of the run, of its warm-up, and of one epoch.
    whole_batches : int
        The run's examples divided by the batch size, rounded down. It is less than `total` where
        the last batch of an epoch is shorter.
    """

    total: int
    warmup: int
    per_epoch: int
    whole_batches: int


Schedule = Callable[[int, Length], float]
"""(number of the step from 0, length of the run) -> multiplier of the peak rate"""


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
    the start of the epoch. Its optimiser multiplies by w(s/T) again, with s the step. Up to the
    warm-up's end w rises linearly to 1; after it w is 1 - x. T is `Length.whole_batches`, so
    the last steps can be slightly negative.
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
        When the schedule does not exist.
    """
    if name not in SCHEDULES:
        raise SeedlabError(
            f"recipe.schedule.name={name} does not exist; allowed: {', '.join(SCHEDULES)}."
            f"{nearest(name, SCHEDULES)}"
        )
    return SCHEDULES[name]
