"""`EarlyStoppingSpec`: the policy that decides which runs are trained to their end.

It is provenance. A run's bits do not depend on it: a run that was stopped and is trained on ends
as if it had never been stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from seedlab.allowed import AT_LEAST_0, AT_LEAST_1, Allowed, OneOf, Range
from seedlab.errors import SeedlabError


@dataclass(frozen=True)
class EarlyStoppingSpec:
    """A policy of early stopping: when runs are compared, and which runs continue.

    It compares all runs of a cohort, which differ in their seeds alone, by their best score so
    far.
    """

    policy: str = "none"
    """none | start_many | successive_halving | hyperband | median | patience"""
    started: int | None = None
    """runs that are started; None: all cells of the grid. Fewer are drawn, whole columns first"""
    fraction: float = 0.3
    """share of training after which runs are compared (for the first time, if the policy compares
    them several times); rounded down to an evaluation"""
    continued: int | None = None
    """start_many: runs that are trained to their end"""
    reduction: int = 3
    """successive_halving, hyperband: one of so many runs passes a rung, and the next rung is
    so many times later"""
    least: int = 5
    """median: fewer runs than this are refused, for the median of few says little"""
    patience: int = 3
    """patience: a run stops after so many evaluations in a row without improvement"""
    improvement: float = 0.0
    """patience: by how much a score must exceed the best before it to count"""
    seed: int = 0
    """seed of the draw of cells and of breaking ties"""

    @property
    def active(self) -> bool:
        """Whether any run may be stopped."""
        return self.policy != "none"


@dataclass(frozen=True)
class TrainSpec:
    """Options of training that change no bit of a run: provenance."""

    checkpoint_every: int | None = None
    """updates between two checkpoints, so that a killed worker loses no more; None: none"""


_USED: dict[str, tuple[str, ...]] = {
    "none": (),
    "start_many": ("fraction", "continued"),
    "successive_halving": ("fraction", "reduction"),
    "hyperband": ("fraction", "reduction"),
    "median": ("fraction", "least"),
    "patience": ("patience", "improvement"),
}
"""Settings that each policy uses, besides `started` and `seed`, which all policies use."""

_POLICY = OneOf(tuple(_USED))
_RANGES: Mapping[str, Range] = {
    "started": Range(2, note=", or null for all cells"),
    "fraction": Range(0, 1, above=True, below=True),
    "continued": AT_LEAST_1,
    "reduction": Range(2),
    "least": Range(2),
    "patience": AT_LEAST_1,
    "improvement": AT_LEAST_0,
    "seed": AT_LEAST_0,
}
_CHECKPOINT_EVERY = Range(1, note=", or null for none")


def allowed_in_early_stopping() -> dict[str, Allowed]:
    """Return the range or the choice of every key of `early_stopping` and `train`."""
    return {
        "early_stopping.policy": _POLICY,
        **{f"early_stopping.{key}": limit for key, limit in _RANGES.items()},
        "train.checkpoint_every": _CHECKPOINT_EVERY,
    }


def check_early_stopping(spec: EarlyStoppingSpec) -> None:
    """Refuse a policy whose settings are out of range, have no effect or contradict each other.

    Raises
    ------
    SeedlabError
        The message names the key, the value and the allowed ones.
    """
    _POLICY.check("early_stopping.policy", spec.policy)
    used = (*_USED[spec.policy], *(("started", "seed") if spec.active else ()))
    for field in dataclasses.fields(spec)[1:]:
        value = getattr(spec, field.name)
        _RANGES[field.name].check(f"early_stopping.{field.name}", value)
        if field.name not in used and value != field.default:
            raise SeedlabError(
                f"early_stopping.{field.name}={value} has no effect with "
                f"early_stopping={spec.policy}, which uses {', '.join(used) or 'nothing'}; "
                "leave it out."
            )
    if spec.policy == "start_many" and spec.continued is None:
        raise SeedlabError(
            "early_stopping=start_many needs the number of runs that are trained to their end; set "
            "early_stopping.continued, for example to 10 of 40."
        )
    if spec.started is not None and (spec.continued or 0) >= spec.started:
        raise SeedlabError(
            f"early_stopping.continued={spec.continued} of early_stopping.started={spec.started} "
            "runs stops nothing; it must be below the number of runs that are started."
        )


def check_train(spec: TrainSpec) -> None:
    """Refuse an interval between checkpoints that is below 1."""
    _CHECKPOINT_EVERY.check("train.checkpoint_every", spec.checkpoint_every)
