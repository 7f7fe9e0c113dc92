"""When successive halving and Hyperband decide, and how many runs they keep.

Only the schedule of decisions: which runs are kept is :func:`analysis.rules.policies.keep_best`.
"""

from __future__ import annotations

import dataclasses
import math

from analysis.errors import OptionError


@dataclasses.dataclass(frozen=True)
class Rung:
    """A decision after `fraction` of training: `keep` runs are promoted."""

    fraction: float
    keep: int


@dataclasses.dataclass(frozen=True)
class Bracket:
    """Successive halving of `started` runs: its rungs, in order of time."""

    started: int
    rungs: tuple[Rung, ...]

    @property
    def cost(self) -> float:
        """Cost in full trainings."""
        running, since, total = self.started, 0.0, 0.0
        for rung in self.rungs:
            total += running * (rung.fraction - since)
            running, since = rung.keep, rung.fraction
        return total + running * (1.0 - since)


def halving_bracket(started: int, first: float, reduction: int = 3) -> Bracket:
    """Successive halving (Jamieson and Talwalkar 2016) from a first rung on.

    Parameters
    ----------
    started : int, at least 1
    first : float in (0, 1]
        Fraction of training of the first rung. The next are `reduction` times
        later each, as long as they lie before the end.
    reduction : int, at least 2
        Of n runs, n // reduction pass a rung, but never fewer than one.

    Returns
    -------
    Bracket
        The decision at a rung is :func:`analysis.rules.policies.keep_best` with the rung's ``keep``.
    """
    if started < 1 or not 0.0 < first <= 1.0 or reduction < 2:
        raise OptionError(
            f"started is {started}, first {first} and reduction {reduction}; allowed: at least one "
            "run, a fraction in (0, 1], a reduction from 2 on."
        )
    rungs = []
    running, fraction = started, first
    # The tolerance keeps a rung that rounding puts just before the end from counting.
    while fraction < 1.0 - 1e-9 and running > 1:
        running = max(running // reduction, 1)
        rungs.append(Rung(fraction, running))
        fraction *= reduction
    return Bracket(started, tuple(rungs))


def hyperband_brackets(first: float, reduction: int = 3) -> tuple[Bracket, ...]:
    """The brackets of Hyperband (Li et al. 2018), the most aggressive one first.

    Parameters
    ----------
    first : float in (0, 1]
        Smallest fraction of training after which a run may be stopped: 1 / R in
        the paper's terms.
    reduction : int, at least 2

    Returns
    -------
    tuple of Bracket
        s_max + 1 of them, with s_max the largest s for which ``first *
        reduction**s`` does not exceed 1. Bracket s starts
        ceil((s_max + 1) / (s + 1) * reduction**s) runs, and its first rung is at
        ``reduction**-s``.
    """
    if not 0.0 < first <= 1.0 or reduction < 2:
        raise OptionError(
            f"first is {first} and reduction {reduction}; allowed: a fraction in (0, 1] and a "
            "reduction from 2 on."
        )
    most = 0
    while first * reduction ** (most + 1) <= 1.0 + 1e-9:
        most += 1
    return tuple(
        halving_bracket(
            math.ceil((most + 1) * reduction**s / (s + 1)), float(reduction) ** -s, reduction
        )
        for s in range(most, -1, -1)
    )
