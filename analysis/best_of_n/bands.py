"""Simultaneous confidence bands: for the score distribution, and for the best of n.

Without simulation: the critical values come from the exact boundary-crossing
probability of :mod:`analysis.best_of_n.boundary_crossing`. Nothing here assumes a family of
distributions; scores are independent draws from one distribution.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from analysis.best_of_n.boundary_crossing import stay_probability
from analysis.best_of_n.expected_max import best_of_median, expected_max, finite_scores
from analysis.best_of_n.order_statistics import equal_tailed_intervals, highest_density_intervals
from analysis.checks import check_at_least, check_choice, check_probability

FloatArray = npt.NDArray[np.float64]
BandMethod = Literal["dkw", "ks", "ld_equal_tailed", "ld_highest_density"]
Statistic = Literal["median", "mean"]
Intervals = Callable[[int, float], tuple[FloatArray, FloatArray]]


@dataclasses.dataclass(frozen=True)
class CdfBand:
    """A simultaneous band for a distribution function, by rank.

    Attributes
    ----------
    lower, upper : arrays of float64, shape (size + 1,), not writable
        Bounds of F between the j-th and the (j+1)-th smallest of `size` scores,
        j = 0..size (below the smallest and from the largest on included).
        ``lower[0]`` is 0 and ``upper[size]`` is 1.
    method : str
    level : float
        Simultaneous coverage: exact for continuous distributions (at least
        `level` for "dkw"), at least `level` where scores can tie.
    """

    lower: FloatArray
    upper: FloatArray
    method: BandMethod
    level: float

    @property
    def informative(self) -> int:
        r"""Largest n for which the best-of-n median is bounded on its better side.

        :math:`\lfloor \ln(1/2) / \ln L \rfloor` with L the lower bound of F at
        the largest score. Beyond it the upper bound of the median is the best
        possible value. About size / 9.5 for the LD methods
        at level .95. Zero when even n = 1 is not bounded.
        """
        floor = float(self.lower[-1])
        if floor <= 0.0:
            return 0
        # The smallest slack makes up for rounding where the ratio is a whole number.
        return math.floor(math.log(0.5) / math.log(floor) + 1e-9) if floor < 1.0 else 2**62


@dataclasses.dataclass(frozen=True)
class BestOfBand:
    """A simultaneous band for the curve of the best of n runs.

    Attributes
    ----------
    ns : array of int64
    lower, point, upper : arrays of float64, shape (len(ns),)
        In the direction of the metric: `lower` is the smaller score, also when
        lower is better. Infinite where the scores give no bound and `bounds` none either.
    informative : int
        Largest n for which the band of the median is informative; figures and
        tables stop there (:attr:`CdfBand.informative`).
    statistic, method, level
        The arguments.
    """

    ns: npt.NDArray[np.int64]
    lower: FloatArray
    point: FloatArray
    upper: FloatArray
    informative: int
    statistic: Statistic
    method: BandMethod
    level: float


@functools.lru_cache(maxsize=256)
def cdf_band(size: int, level: float = 0.95, method: BandMethod = "ld_highest_density") -> CdfBand:
    """Simultaneous band of the distribution function of `size` scores.

    Parameters
    ----------
    size : int, at least 1
        Number of scores. The band depends on no other property of the data.
    level : float in (0, 1)
        Coverage of the whole band.
    method : {"ld_highest_density", "ld_equal_tailed", "ks", "dkw"}
        ``ld_*``: the order statistics' beta intervals (highest density or
        equal-tailed), widened until they hold together (Learned-Miller and
        DeStefano 2008). ``ks``: constant width, by inverting the exact
        Kolmogorov-Smirnov law. ``dkw``: constant width from the inequality of
        Dvoretzky, Kiefer and Wolfowitz with Massart's constant; conservative.

    Returns
    -------
    CdfBand

    Raises
    ------
    OptionError
        `size`, `level` or `method` is not allowed.
    """
    check_at_least("size", size, 1)
    check_probability("level", level)
    check_choice("method", method, get_args(BandMethod))
    if method in ("dkw", "ks"):
        width = (
            math.sqrt(math.log(2 / (1 - level)) / (2 * size))
            if method == "dkw"
            else _ks_width(size, level)
        )
        steps = np.arange(size + 1) / size
        lower, upper = np.clip(steps - width, 0, 1), np.clip(steps + width, 0, 1)
    else:
        intervals = (
            equal_tailed_intervals if method == "ld_equal_tailed" else highest_density_intervals
        )
        low, high = intervals(size, _pointwise_miss(size, level, intervals))
        # The j-th smallest score bounds F from below to its right, the (j+1)-th
        # from above to its left.
        lower, upper = np.concatenate([[0.0], low]), np.concatenate([high, [1.0]])
    lower.setflags(write=False)
    upper.setflags(write=False)
    return CdfBand(lower, upper, method, level)


def shared_seeds_band(
    size: int,
    effective: float | None,
    level: float = 0.95,
    method: BandMethod = "ld_highest_density",
) -> CdfBand:
    """Band of `size` scores that are worth `effective` independent ones.

    Parameters
    ----------
    size, level, method
        As for `cdf_band`.
    effective : float, optional
        From 1 to `size`, rounded down; None or `size` for independent scores.

    Returns
    -------
    CdfBand
        At the share j / size of the scores, the band of `effective` scores at its next lower (and
        next higher) step, which is on the safe side. Simulated coverage of 95% bands on grids of
        5 x 5 to 15 x 15 runs: .96 to 1, where bands of `size` scores cover .44 to .96
        (`experiments/inference`).
    """
    m = size if effective is None else max(min(math.floor(effective + 1e-9), size), 1)
    band = cdf_band(m, level, method)
    if m == size:
        return band
    step = np.arange(size + 1) * m / size
    down, up = np.floor(step + 1e-9).astype(np.int64), np.ceil(step - 1e-9).astype(np.int64)
    return CdfBand(band.lower[down], band.upper[up], method, level)


def _pointwise_miss(size: int, level: float, intervals: Intervals) -> float:
    def excess(log_miss: float) -> float:
        return stay_probability(*intervals(size, math.exp(log_miss))) - level

    # Missing 1 - level at each point is too much together (equal at size 1),
    # and a size-th of that too little (Bonferroni; exactly enough at size 2,
    # hence the margin for rounding).
    most = math.log1p(-level)
    if size == 1:
        return math.exp(most)
    return math.exp(brentq(excess, most - math.log(size) - 0.1, most, xtol=1e-10))


def _ks_width(size: int, level: float) -> float:
    # scipy's kstwo switches to an approximation above n = 140 that is off by up
    # to 5e-7 in probability; the crossing solver is exact at every n.
    rank = np.arange(1, size + 1)

    def excess(width: float) -> float:
        lower, upper = np.clip(rank / size - width, 0, 1), np.clip((rank - 1) / size + width, 0, 1)
        return stay_probability(lower, upper) - level

    widest = math.sqrt(math.log(2 / (1 - level)) / (2 * size))
    return brentq(excess, 0.5 / size, min(1.0, widest), xtol=1e-13)


def best_of_band(
    scores: npt.ArrayLike,
    ns: npt.ArrayLike | None = None,
    *,
    statistic: Statistic = "median",
    method: BandMethod = "ld_highest_density",
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    lower_is_better: bool = False,
    effective: float | None = None,
) -> BestOfBand:
    r"""Band for the median (or mean) of the best of n, simultaneous over n.

    Parameters
    ----------
    scores : 1D array of B finite floats
        One score per run.
    ns : array of positive integers, optional
        By default 1..B. Values beyond B are allowed; values beyond the
        informative range give a bound at infinity (or at `bounds`).
    statistic : {"median", "mean"}
        The band of the mean is dominated by the assumed `bounds` of the metric
        and infinite without them: prefer the median.
    method, level
        See :func:`cdf_band`.
    bounds : pair of floats
        Worst and best values that the metric can take, smaller first.
    lower_is_better : bool
        Best means smallest; done by a change of sign, as in
        :mod:`analysis.best_of_n.expected_max`.
    effective : float, optional
        Number of independent runs that the scores are worth, for runs that share seeds; the band
        is then the one of so many scores. By default their number.

    Returns
    -------
    BestOfBand
        `point` is the plug-in curve: the median or the mean of the best of n
        under the empirical distribution (NaN for n beyond B).

    Raises
    ------
    ValueError
        An argument is not allowed, or a score lies outside `bounds`.

    Notes
    -----
    From a band L <= F <= U of the distribution function follows a band of every
    best-of-n curve (Lourie et al. 2024, arXiv:2311.09480): the best of n has the
    distribution :math:`F^n`, so the UPPER bound U gives the LOWER curve. The
    median of the best of n is the smallest score with F >= :math:`2^{-1/n}`.
    """
    values = finite_scores(scores)
    smallest, largest = bounds
    if smallest > values.min() or largest < values.max():
        raise ValueError(
            f"bounds are {bounds}, but the scores run from {values.min()} to {values.max()}; "
            "give bounds that hold for the metric."
        )
    check_choice("statistic", statistic, get_args(Statistic))
    sizes = np.arange(1, len(values) + 1) if ns is None else np.atleast_1d(np.asarray(ns))
    if sizes.ndim != 1 or np.any(sizes < 1) or np.any(sizes != np.floor(sizes)):
        raise ValueError(f"ns is {sizes.tolist()}; allowed: a list of positive integers.")
    sizes = sizes.astype(np.int64)
    if lower_is_better:
        values, (smallest, largest) = -values, (-largest, -smallest)

    band = shared_seeds_band(len(values), effective, level, method)
    curve = _median_curve if statistic == "median" else _mean_curve
    support = np.concatenate([[smallest], np.sort(values), [largest]])
    worse, better = curve(support, band.upper, sizes), curve(support, band.lower, sizes)
    known = sizes <= len(values)
    point = np.full(sizes.size, np.nan)
    if statistic == "median":
        point[known] = best_of_median(values, sizes[known])
    else:
        point[known] = expected_max(values, sizes[known], estimator="plugin")
    if lower_is_better:
        worse, point, better = -better, -point, -worse
    return BestOfBand(sizes, worse, point, better, band.informative, statistic, method, level)


def _median_curve(support: FloatArray, cdf: FloatArray, ns: npt.NDArray[np.int64]) -> FloatArray:
    # support[j] is where the distribution function steps up to cdf[j]; past the
    # last step it reaches one at the metric's own bound.
    return support[np.searchsorted(cdf, 0.5 ** (1.0 / ns), side="left")]


def _mean_curve(support: FloatArray, cdf: FloatArray, ns: npt.NDArray[np.int64]) -> FloatArray:
    steps = np.concatenate([cdf, [1.0]])[None, :] ** ns[:, None]
    weights = np.diff(steps, axis=1, prepend=0.0)
    # A support point of no weight must not count, not even when it is infinite.
    terms = np.where(weights > 0, weights * np.where(weights > 0, support, 0.0), 0.0)
    return np.asarray(terms.sum(axis=1))
