"""The probability that one recipe beats another, and whether that is meaningful.

Ties count half. "Meaningful" is the rule of Bouthillier et al. 2021: the
probability is significantly above one half and may exceed gamma = .75.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from analysis.best_of_n.expected_max import finite_scores
from analysis.checks import check_at_least, check_choice, check_probability
from analysis.errors import OptionError
from analysis.variance.failure_rates import rate_interval, wilson_interval

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Improvement:
    """P(B beats A) with its interval and two verdicts for each direction.

    ``significant``: the lower limit exceeds 1/2. ``meaningful``: significant,
    and the upper limit exceeds ``gamma``. ``..._reverse``: the same of A over B, so that the
    order of A and B decides nothing.
    """

    probability: float
    lower: float
    upper: float
    n_a: int
    n_b: int
    paired: bool
    method: str
    gamma: float

    @property
    def significant(self) -> bool:
        """Whether B beats A more often than not, beyond chance."""
        return self.lower > 0.5

    @property
    def meaningful(self) -> bool:
        """Whether the improvement is significant and its upper limit exceeds gamma."""
        return self.significant and self.upper > self.gamma

    @property
    def significant_reverse(self) -> bool:
        """Whether A beats B more often than not, beyond chance."""
        return self.upper < 0.5

    @property
    def meaningful_reverse(self) -> bool:
        """Whether A is a meaningful improvement over B: P(A > B) = 1 - P(B > A)."""
        return self.significant_reverse and 1.0 - self.lower > self.gamma


def probability_of_improvement(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    paired: bool,
    level: float = 0.95,
    gamma: float = 0.75,
    method: Literal["score", "bootstrap"] = "score",
    generator: np.random.Generator | None = None,
    resamples: int = 2_000,
    seeds: pd.DataFrame | None = None,
) -> Improvement:
    """P(B > A) + P(B = A)/2 for scores of which higher is better.

    Parameters
    ----------
    a, b : 1D arrays of finite floats
        Scores; of equal length and in the same order of seeds if `paired`.
    paired : bool
        Whether a[i] and b[i] share their seeds.
    level : float in (0, 1)
        Nominal coverage.
    gamma : float in (0.5, 1)
        Threshold of a meaningful improvement.
    method : {"score", "bootstrap"}
        "score": Wilson's interval (paired; on the safe side with ties) or
        Newcombe's (unpaired), which do not shrink to a point when one side
        always wins. "bootstrap": percentiles of resampled pairs (or of both
        samples), as in the paper; needs a `generator`.
    seeds : DataFrame, optional
        ``init_seed, order_seed`` of the pairs. The score interval then counts pairs that share
        seeds by their effective number (`failure_rates.rate_interval`).

    Returns
    -------
    Improvement

    Notes
    -----
    The unpaired estimate is Mann-Whitney's U/(n m). Its score interval solves
    (p - q)^2 = z^2 q (1-q) [1 + m* ((1-q)/(2-q) + q/(1+q))]/(n m), with
    m* = (n + m)/2 - 1 (Newcombe 2006, Statistics in Medicine 25, method 5).
    """
    x, y = finite_scores(a), finite_scores(b)
    if paired and len(x) != len(y):
        raise ValueError(
            f"paired scores need equal lengths, got {len(x)} and {len(y)}; "
            "keep the seeds that both have, or compare unpaired."
        )
    check_probability("level", level)
    if not 0.5 < gamma < 1.0:
        raise OptionError(f"gamma is {gamma}; allowed: between 0.5 and 1, for instance 0.75.")
    check_choice("method", method, ("score", "bootstrap"))
    point = float(_wins(x, y).mean()) if paired else _mann_whitney(x, y)
    if method == "bootstrap":
        if generator is None:
            raise OptionError("the bootstrap draws random numbers: give a numpy Generator.")
        lower, upper = _bootstrap(x, y, paired, level, generator, resamples)
    else:
        if paired and seeds is not None:
            _, lower, upper = rate_interval(seeds.assign(win=_wins(x, y)), "win", level=level)
        elif paired:
            lower, upper = wilson_interval(point * len(x), len(x), level=level)
        else:
            lower, upper = _newcombe(point, len(x), len(y), float(norm.ppf(0.5 + level / 2)))
    return Improvement(point, lower, upper, len(x), len(y), paired, method, gamma)


def _wins(x: Floats, y: Floats) -> Floats:
    wins: Floats = (y > x) + 0.5 * (y == x)
    return wins


def _mann_whitney(x: Floats, y: Floats) -> float:
    ranks = rankdata(np.concatenate([x, y]))
    n, m = len(x), len(y)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def _newcombe(p: float, n: int, m: int, z: float) -> tuple[float, float]:
    extra = (n + m) / 2 - 1

    def excess(q: float) -> float:
        variance = q * (1 - q) * (1 + extra * ((1 - q) / (2 - q) + q / (1 + q))) / (n * m)
        return (p - q) ** 2 - z**2 * variance

    # At q = p the excess is negative (or 0 at the ends), at 0 and 1 it is not.
    lower = 0.0 if p == 0.0 else float(brentq(excess, 0.0, min(p, 1 - 1e-12)))
    upper = 1.0 if p == 1.0 else float(brentq(excess, max(p, 1e-12), 1.0))
    return lower, upper


def _bootstrap(
    x: Floats, y: Floats, paired: bool, level: float, generator: np.random.Generator, resamples: int
) -> tuple[float, float]:
    check_at_least("resamples", resamples, 100)
    n, m = len(x), len(y)
    if paired:
        draws = _wins(x, y)[generator.integers(n, size=(resamples, n))].mean(axis=1)
    else:
        weights_x = generator.multinomial(n, np.full(n, 1 / n), size=resamples)
        weights_y = generator.multinomial(m, np.full(m, 1 / m), size=resamples)
        wins = _wins(x[:, None], y[None, :])
        draws = ((weights_x @ wins) * weights_y).sum(axis=1) / (n * m)
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return float(lower), float(upper)
