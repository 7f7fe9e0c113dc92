"""Expected score of k runs taken together, over all choices of k of the recorded runs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.ensembles.subsets import Subsets
from analysis.errors import DesignError
from analysis.variance.mean_interval import mean_interval

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ExpectedScore:
    """The expected score of k runs taken together, in the metric's units.

    Attributes
    ----------
    score : float
    difference : float
        From the mean score of one run.
    se : float
        Standard error of both that comes from drawing subsets; 0 where all were scored.
    lower, upper, difference_lower, difference_upper : float
        Intervals for seeds drawn anew and the same examples; NaN where the runs don't determine them.
    """

    score: float
    difference: float
    se: float
    lower: float
    upper: float
    difference_lower: float
    difference_upper: float


def best_on_dev(dev: Floats, scores: Floats, subsets: Subsets, *, lower_is_better: bool) -> Floats:
    """Score of the run with the best validation score in every subset; the mean over tied runs.

    Parameters
    ----------
    dev, scores : arrays of R floats
        Validation scores, and the scores that are looked at.

    Returns
    -------
    array of float64, shape (S,)
    """
    signed = np.where(subsets.members, -dev if lower_is_better else dev, -np.inf)
    best = subsets.members & (signed == signed.max(axis=1, keepdims=True))
    return np.asarray((best @ scores) / best.sum(axis=1))


def expected_score(
    values: Floats,
    single: Floats,
    subsets: Subsets,
    runs: pd.DataFrame,
    *,
    level: float = 0.95,
    intervals: bool = True,
    known: float | None = None,
) -> ExpectedScore:
    r"""Mean of the scores of the subsets, with the error of drawing them and of the seeds.

    Parameters
    ----------
    values : array of S floats
        Score of every subset of k runs.
    single : array of R floats
        Score of every run by itself.
    subsets : Subsets
    runs : DataFrame of R rows
        ``init_seed, order_seed``.
    level : float in (0, 1)
        Nominal coverage.
    intervals : bool
        Whether to compute intervals.
    known : float, optional
        The expected score, where a formula gives it.

    Notes
    -----
    The mean over all subsets is a U-statistic, unbiased for k runs of the same kind of grid. Its
    difference from the mean run is averaged over pairs (a subset, its own runs), which has a smaller
    error than the score itself where subsets are drawn.

    Intervals replace the score by its first-order projection (Hoeffding 1948, Annals of
    Mathematical Statistics 19, 293-325): run r counts as

    .. math:: U + k \frac{R - 1}{R - k} (h_r - U),

    with U the mean over all subsets and h_r that over the subsets which hold r. For k = 1 this is
    the run's own score. `mean_interval.mean_interval` takes these values as those of a grid. Random
    subsets add noise to the values, so that the interval is a little too wide.
    """
    gains = values - (subsets.members @ single) / subsets.members.sum(axis=1)
    mean = float(single.mean())
    difference = float(gains.mean()) if known is None else known - mean
    drawn = known is None and not subsets.exact
    se = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if drawn else 0.0
    nan = (math.nan, math.nan)
    own, apart = nan, nan
    if intervals:
        of_runs = difference + _pulls(gains, subsets)
        own = _interval(runs, single + of_runs, level)
        # Runs that are taken alone differ from themselves by nothing.
        apart = _interval(runs, of_runs, level) if gains.any() else (0.0, 0.0)
    return ExpectedScore(mean + difference, difference, se, *own, *apart)


def _pulls(values: Floats, subsets: Subsets) -> Floats:
    """Effect of every run on the expected value, k (R - 1)/(R - k) (h_r - U); shape (R,)."""
    size, runs = subsets.members.shape
    k = int(subsets.members[0].sum())
    # The covariance with membership is k/R (h_r - U), and is there for a run in no drawn subset too.
    covariance = (subsets.members - k / runs).T @ (values - values.mean()) / size
    return np.asarray(covariance * (runs * (runs - 1) / (runs - k)))


def _interval(runs: pd.DataFrame, values: Floats, level: float) -> tuple[float, float]:
    try:
        seeds = runs[["init_seed", "order_seed"]]
        found = mean_interval(seeds.assign(value=values), "value", level=level)
    except DesignError:
        return math.nan, math.nan
    return found.lower, found.upper
