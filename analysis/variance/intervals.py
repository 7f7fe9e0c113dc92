"""Intervals for the variance components of a grid, and for their shares.

Two kinds: the row-and-column jackknife, which holds up when some runs fail, and
generalised (fiducial) intervals, which are narrower and assume normal effects.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from analysis.checks import check_at_least, check_probability
from analysis.errors import DesignError
from analysis.variance.henderson import CellTable, components, expectation_weights, sums_of_squares

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ComponentIntervals:
    """Intervals of the components (truncated at 0) and shares (in [0, 1]), by name."""

    names: tuple[str, ...]
    lower: Floats
    upper: Floats
    share_lower: Floats
    share_upper: Floats


def shares(raw: Floats) -> Floats:
    """Shares of the total variance, negative components counting as 0.

    Parameters
    ----------
    raw : array (..., components)
        Raw components. Where none is positive the shares are NaN: constant
        scores have no variance to share.
    """
    positive = np.maximum(raw, 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    result: Floats = np.full_like(positive, np.nan)
    np.divide(positive, total, out=result, where=total > 0)
    return result


def jackknife_intervals(
    cells: CellTable, *, level: float = 0.95, repeats: Literal["split", "pool"] = "split"
) -> ComponentIntervals:
    """Row-and-column jackknife intervals on the raw scale, truncated at 0.

    Deletes each init seed and each order seed in turn; the squared error is the
    sum of the two jackknife variances, and the quantile Student's with
    ``min(a, b) - 1`` degrees of freedom.

    Parameters
    ----------
    cells : CellTable
        At least 3 x 3 seeds, connected whichever seed is deleted.
    level : float in (0, 1)
        Nominal coverage.
    repeats : {"split", "pool"}
        As in `components`.

    Raises
    ------
    DesignError
        Without one of the seeds the components cannot be estimated.

    Notes
    -----
    The sum of both variances counts what is common to rows and columns twice
    and is therefore on the safe side. Simulated coverage at 95% with normal
    effects on 5 x 5, 10 x 10 and 5 x 15 seeds: .92 to 1.0 while init and order
    are each at most a third of the rest (0 included), and .87 to .92 where
    one of them equals the rest; there fiducial intervals keep .93 to .96.
    Intervals of the shares: .93 to 1.0 in all of these, and on 25 x 25.
    On the log scale it falls to .5 when a true component is 0.
    """
    _check_level(level)
    estimate = components(cells, repeats)
    names = tuple(estimate)
    raw = np.array([estimate[name] for name in names])
    squared_error, share_error = np.zeros(len(raw)), np.zeros(len(raw))
    for axis, factor in enumerate(("init", "order")):
        size = cells.counts.shape[axis]
        left_out = []
        for index in range(size):
            try:
                part = components(cells.without(axis, index), repeats)
            except DesignError as error:
                raise DesignError(
                    f"no jackknife interval: without {factor} seed {index + 1} of {size}, {error}"
                ) from error
            if tuple(part) != names:
                raise DesignError(
                    f"no jackknife interval: without {factor} seed {index + 1} of {size} no "
                    "repeats are left; pool them with repeats='pool'."
                )
            left_out.append([part[name] for name in names])
        values = np.array(left_out)
        squared_error += (size - 1) / size * ((values - values.mean(axis=0)) ** 2).sum(axis=0)
        parts = _raw_shares(values)
        share_error += (size - 1) / size * ((parts - parts.mean(axis=0)) ** 2).sum(axis=0)
    width = student.ppf(0.5 + level / 2, min(cells.counts.shape) - 1)
    # Around the raw share; widened to hold the reported one, which is truncated.
    share, point = _raw_shares(raw), shares(raw)
    return ComponentIntervals(
        names,
        np.maximum(raw - width * np.sqrt(squared_error), 0.0),
        np.maximum(raw + width * np.sqrt(squared_error), 0.0),
        np.minimum(np.clip(share - width * np.sqrt(share_error), 0.0, 1.0), point),
        np.maximum(np.clip(share + width * np.sqrt(share_error), 0.0, 1.0), point),
    )


def fiducial_intervals(
    cells: CellTable, generator: np.random.Generator, *, level: float = 0.95, draws: int = 10_000
) -> ComponentIntervals:
    """Generalised (fiducial) intervals; repeats are pooled with the interaction.

    Parameters
    ----------
    cells : CellTable
        A connected design. Exact pivots for the complete grid of normal
        effects; an approximation with missing cells. Where runs fail, so that
        the residual is far from normal, the coverage of its interval falls to
        .59: use the jackknife there. The interval of the rest's share covers
        .88 to .91 when init and order are both 0, and .92 or more otherwise.
    generator : numpy Generator
        Draws the chi-squared pivots.
    level : float in (0, 1)
        Nominal coverage.
    draws : int
        Number of pivots, at least 100.

    Notes
    -----
    With SSE/s2E and R(A|B)/(s2E + c s2A) chi-squared, c = kA/(a - 1): the
    pivots are s2E* = SSE/X and s2A* = (R(A|B)/Y - s2E*)/c, truncated at 0
    (Weerahandi 1993; Hannig, Iyer, Patterson 2006).
    """
    _check_level(level)
    check_at_least("draws", draws, 100)
    ss = sums_of_squares(cells)
    k_init, k_order = expectation_weights(cells.counts)
    noise = ss.residual / generator.chisquare(ss.df_residual, draws)
    columns = []
    for squares, df, k in ((ss.init, ss.n_init - 1, k_init), (ss.order, ss.n_order - 1, k_order)):
        pivot = (squares / generator.chisquare(df, draws) - noise) * df / k
        columns.append(np.maximum(pivot, 0.0))
    pivots = np.column_stack([*columns, noise])
    tails = [0.5 - level / 2, 0.5 + level / 2]
    lower, upper = np.quantile(pivots, tails, axis=0)
    share_lower, share_upper = np.quantile(shares(pivots), tails, axis=0)
    return ComponentIntervals(("init", "order", "rest"), lower, upper, share_lower, share_upper)


def _raw_shares(raw: Floats) -> Floats:
    """Shares of the raw total, negative ones kept.

    Truncated replicates would all be 0 where a component is small, and the
    interval a point: that covered .80 to .87.
    """
    total = raw.sum(axis=-1, keepdims=True)
    result: Floats = np.full_like(raw, np.nan)
    np.divide(raw, total, out=result, where=total > 0)
    return result


def _check_level(level: float) -> None:
    check_probability("level", level)
