"""Rank correlation between early and late scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from analysis.data.curves import curve_pools

FloatArray = npt.NDArray[np.float64]


def rank_correlations(scores: npt.ArrayLike) -> FloatArray:
    """Spearman correlation between all pairs of columns.

    Parameters
    ----------
    scores : array of finite floats, shape (R, T)
        One row per run, one column per evaluation; ties get average ranks.

    Returns
    -------
    array of float64, shape (T, T)
        Symmetric, ones on the diagonal. NaN where a column is constant (the
        diagonal included) or there are fewer than two runs.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(
            f"scores has the shape {values.shape}; allowed: finite numbers, one row per run and "
            "one column per evaluation."
        )
    if len(values) < 2:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    ranks = rankdata(values, axis=0)
    centred = ranks - ranks.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    length[length == 0] = np.nan
    unit = centred / length
    result = np.asarray(np.clip(unit.T @ unit, -1.0, 1.0))
    np.fill_diagonal(result, np.where(np.isnan(length), np.nan, 1.0))
    return result


def fraction_correlations(curves: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlation between the scores at every pair of fractions.

    Parameters
    ----------
    curves : DataFrame
        As for :func:`analysis.data.curves.curve_pools`. The direction of the metric
        does not matter: a change of sign of both scores cancels.

    Returns
    -------
    DataFrame
        ``task, recipe, fraction, other_fraction, spearman, runs``: the current
        scores (not the best so far) at both fractions over the ``runs`` runs of
        the pool; every ordered pair once, the diagonal included.
    """
    frames = []
    for pool in curve_pools(curves, from_start=True):
        times = pool.fractions
        frames.append(
            pd.DataFrame(
                {
                    "task": pool.task,
                    "recipe": pool.recipe,
                    "fraction": np.repeat(times, len(times)),
                    "other_fraction": np.tile(times, len(times)),
                    "spearman": rank_correlations(pool.scores).ravel(),
                    "runs": len(pool.runs),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
