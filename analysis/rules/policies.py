"""Rules that decide which runs are promoted: pure functions of the scores so far.

Live early stopping, the pruners of a search and the offline estimates use the same
rules. They take arrays and return masks of runs to keep. They have no state, read no
files and draw no random numbers: ties are broken by a hash of seed and name. Higher is
better throughout: negate losses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.checks import check_at_least
from analysis.rules.brackets import Bracket as Bracket
from analysis.rules.brackets import Rung as Rung
from analysis.rules.brackets import halving_bracket as halving_bracket
from analysis.rules.brackets import hyperband_brackets as hyperband_brackets

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def tie_keys(names: Sequence[object], seed: int) -> npt.NDArray[np.uint64]:
    """One 64-bit number per run that breaks ties: larger loses.

    The first eight bytes (big-endian) of the BLAKE2b hash of ``tie/SEED/NAME``.
    They depend on nothing else: a decision between two runs changes neither
    with the order of the list nor with the other runs in it.
    """
    digests = [
        hashlib.blake2b(f"tie/{seed}/{name}".encode(), digest_size=8).digest() for name in names
    ]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def best_so_far(scores: npt.ArrayLike) -> FloatArray:
    """Best score up to each evaluation.

    Parameters
    ----------
    scores : array of floats, shape (..., T)
        NaN is an evaluation without a score: it never counts as the best.

    Returns
    -------
    array of float64, shape (..., T)
        NaN up to the first score.
    """
    return np.fmax.accumulate(np.asarray(scores, dtype=np.float64), axis=-1)


def rank_runs(
    scores: npt.ArrayLike,
    *,
    failed: npt.ArrayLike | None = None,
    names: Sequence[object] | None = None,
    seed: int = 0,
) -> IntArray:
    """Positions of the runs, best first.

    Parameters
    ----------
    scores : 1D array of R floats
        Higher is better; NaN (no score) is worse than every number.
    failed : 1D array of R bools, optional
        Runs that are known to have failed: last of all, whatever their score.
    names : sequence of R names, optional
        Names that break ties (:func:`tie_keys`); by default the positions.
    seed : int
        Seed of the tie-breaking.

    Returns
    -------
    array of int64, shape (R,)

    Raises
    ------
    ValueError
        The lengths differ, or two names are the same.
    """
    values = np.asarray(scores, dtype=np.float64)
    lost = np.zeros(values.shape, bool) if failed is None else np.asarray(failed, dtype=bool)
    labels = range(values.size) if names is None else names
    if values.ndim != 1 or lost.shape != values.shape or len(labels) != values.size:
        raise ValueError(
            f"scores has the shape {values.shape}, failed {lost.shape}, and there are "
            f"{len(labels)} names; allowed: one of each per run."
        )
    if len({str(name) for name in labels}) != values.size:
        raise ValueError("names holds the same name twice; allowed: one name per run.")
    unscored = np.isnan(values)
    order = np.lexsort(
        (tie_keys(labels, seed), -np.where(unscored, -np.inf, values), unscored, lost)
    )
    return np.asarray(order, dtype=np.int64)


def keep_best(
    scores: npt.ArrayLike,
    keep: int,
    *,
    failed: npt.ArrayLike | None = None,
    names: Sequence[object] | None = None,
    seed: int = 0,
) -> Mask:
    """The `keep` best of R runs, by :func:`rank_runs`.

    Returns
    -------
    array of bool, shape (R,)
        Exactly `keep` are true (all, where there are fewer runs), even when that
        takes runs without a score: the policy fixes the number.
    """
    check_at_least("keep", keep, 0)
    order = rank_runs(scores, failed=failed, names=names, seed=seed)
    mask = np.zeros(order.size, dtype=bool)
    mask[order[:keep]] = True
    return mask


def start_many(
    curves: npt.ArrayLike,
    continued: int,
    *,
    failed: npt.ArrayLike | None = None,
    names: Sequence[object] | None = None,
    seed: int = 0,
) -> Mask:
    """Start many, continue some (Dodge et al. 2020): the runs to continue.

    Parameters
    ----------
    curves : array of floats, shape (R, T)
        Scores of all started runs up to the decision. They are ranked
        by the best so far.
    continued : int
        Number of runs to promote.
    failed, names, seed
        As for :func:`rank_runs`.

    Returns
    -------
    array of bool, shape (R,)
    """
    scores = np.asarray(curves, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(
            f"curves has the shape {scores.shape}; allowed: one row per run and at least one "
            "evaluation."
        )
    best = best_so_far(scores)[:, -1]
    return keep_best(best, continued, failed=failed, names=names, seed=seed)


def median_rule(best: npt.ArrayLike, finished: npt.ArrayLike, *, least: int = 5) -> Mask:
    """Median stopping: a run continues unless it is below the median of finished runs.

    Parameters
    ----------
    best : 1D array of R floats
        Best score so far of every running run, at one evaluation.
    finished : 1D array of floats
        Scores of the runs that have finished, at the same evaluation (their
        scores there, not their best so far: the definition of Optuna's
        MedianPruner, which differs from Golovin et al. 2017). NaN is left out.
    least : int
        With fewer finished runs than this, all continue.

    Returns
    -------
    array of bool, shape (R,)
        False for runs strictly below the median, and for runs without any score.
    """
    values, others = np.asarray(best, np.float64), np.asarray(finished, np.float64)
    if values.ndim != 1 or others.ndim != 1:
        raise ValueError(
            f"best and finished have the shapes {values.shape} and {others.shape}; allowed: one "
            "dimension each."
        )
    if others.size < max(least, 1):
        return np.ones(values.shape, dtype=bool)
    scored = others[~np.isnan(others)]
    if not scored.size:
        return ~np.isnan(values)
    return np.asarray(values >= np.median(scored))


def patience_rule(curves: npt.ArrayLike, patience: int, *, improvement: float = 0.0) -> Mask:
    """Patience: a run continues unless its last evaluations brought no improvement.

    Parameters
    ----------
    curves : array of floats, shape (R, T)
        Scores so far; NaN is an evaluation without improvement.
    patience : int, at least 1
        A run stops after so many evaluations in a row without improvement.
    improvement : float, at least 0
        Smallest difference from the best score so far that counts as an improvement.

    Returns
    -------
    array of bool, shape (R,)
    """
    scores = np.asarray(curves, dtype=np.float64)
    if scores.ndim != 2 or patience < 1 or not improvement >= 0:
        raise ValueError(
            f"curves has the shape {scores.shape}, patience is {patience} and improvement "
            f"{improvement}; allowed: one row per run, a patience from 1 on, an improvement from "
            "0 on."
        )
    best = np.full(len(scores), -np.inf)
    idle = np.zeros(len(scores), dtype=np.int64)
    for column in scores.T:
        # A first score always counts; NaN compares as no improvement.
        better = (column > best + improvement) | (np.isinf(best) & (column > best))
        best = np.where(better, column, best)
        idle = np.where(better, 0, idle + 1)
    return np.asarray(idle < patience)
