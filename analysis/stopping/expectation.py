"""Exact value of "start t runs, stop after a fraction f, continue the best p".

The expectation is over every draw of t runs from a pool and every way of breaking
ties. Whole surfaces of (t, f, p) are computed at once, without random numbers. Higher is better throughout; callers negate other metrics.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.best_of_n.binomial import log_binomial
from analysis.best_of_n.expected_max import expected_max

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def stopping_surface(
    best_so_far: npt.ArrayLike,
    started: npt.ArrayLike,
    continued: npt.ArrayLike,
    *,
    target: float | None = None,
) -> FloatArray:
    """Expected outcome for every fraction, number started and number continued.

    Parameters
    ----------
    best_so_far : array of floats, shape (N, T)
        Curves of best scores so far of a pool of N runs at T evaluations; the
        last one is the end of training.
    started : 1D array of integers t from 1 to N
        Draws without replacement from the pool.
    continued : 1D array of integers p from 0 to N
    target : float, optional
        Return the chance that the outcome is at least `target` instead.

    Returns
    -------
    array of float64, shape (T, len(started), len(continued))
        The outcome is the best score seen anywhere, stopped runs included. For
        p = t no run is stopped: the expected best of t. NaN where p > t.

    Raises
    ------
    ValueError
        The curves are not a finite matrix that never falls along a row, or a
        number is outside its range.

    Notes
    -----
    See :func:`stopping_expectation` for the formula.
    """
    curves = np.asarray(best_so_far, dtype=np.float64)
    if curves.ndim != 2 or curves.size == 0 or not np.isfinite(curves).all():
        raise ValueError(
            f"best_so_far has the shape {curves.shape}; allowed: finite numbers, one row per run "
            "and one column per evaluation, at least one of each."
        )
    if np.any(np.diff(curves, axis=1) < 0):
        row = int(np.flatnonzero(np.any(np.diff(curves, axis=1) < 0, axis=1))[0])
        raise ValueError(
            f"best_so_far falls along row {row}; allowed: best scores so far. Apply "
            "numpy.maximum.accumulate(scores, axis=1)."
        )
    values = curves if target is None else (curves >= target).astype(np.float64)
    ts, ps = (
        _counts(started, 1, len(curves), "started"),
        _counts(continued, 0, len(curves), "continued"),
    )
    pairs = [(curves[:, f], values[:, f]) for f in range(curves.shape[1])]
    surface = _expectations(pairs, values[:, -1], ts, ps)
    plain = expected_max(values[:, -1], ts)
    surface[:, ts[:, None] == ps[None, :]] = np.nan
    for k, t in enumerate(ts):
        surface[:, k, ps == t] = plain[k]
    return surface


def stopping_expectation(
    keys: npt.ArrayLike, stopped: npt.ArrayLike, ended: npt.ArrayLike, started: int, continued: int
) -> float:
    r"""Expected best of a pool when only the best-ranked draws are continued.

    Parameters
    ----------
    keys : 1D array of N floats
        Keys of the ranking, larger first; ties are broken uniformly at random.
    stopped, ended : 1D arrays of N floats
        The value of a run if it is stopped, and if it is continued to the end.
        `stopped` must not fall as `keys` rise, nor exceed `ended`.
    started, continued : int
        t draws without replacement, the p < t best-ranked of which continue.

    Returns
    -------
    float

    Notes
    -----
    Derivation. Sort the pool by key, best first, and condition on the best
    stopped draw being at pool position r + 1, which has the probability

    .. math:: w(r) = \binom{r}{p} \binom{N-r-1}{t-p-1} / \binom{N}{t}.

    Then the p continued runs are a uniform p-subset of the r runs before it, and
    with z the distinct values, :math:`\Delta` their gaps and :math:`G_r(z)` the
    number of those r runs that end at z or below,

    .. math:: E = z_{max} - \sum_r \frac{\binom{N-r-1}{t-p-1}}{\binom{N}{t}}
              \sum_{z \geq a_{r+1}} \Delta(z) \binom{G_r(z)}{p}.

    The inner sum does not depend on t, the outer weights do not depend on the
    fraction: a whole surface costs little more than one point of it. In a tie
    group of n runs below A others, position r + 1 = A + o + 1 has a uniform
    o-subset of the group before it; i of the p continued runs come from it with
    the weight C(o, i) / C(n, i), so that :math:`\binom{G}{p}` becomes
    :math:`\sum_i \frac{\binom{o}{i}}{\binom{n}{i}} \binom{g}{i} \binom{G}{p-i}`
    with g the group's members at z or below.
    """
    rank, low, high = (np.asarray(x, dtype=np.float64) for x in (keys, stopped, ended))
    order = np.argsort(-rank, kind="stable")
    if np.any(np.diff(low[order]) > 0) or np.any(low > high):
        raise ValueError(
            "stopped falls where keys rise, or exceeds ended; allowed: values of stopped runs in "
            "the order of the keys, and ends at least as good."
        )
    ts = _counts(started, 1, len(rank), "started")
    ps = _counts(continued, 0, started - 1, "continued")
    return float(_expectations([(rank, low)], high, ts, ps)[0, 0, 0])


def tie_groups(sorted_keys: FloatArray) -> tuple[list[int], list[int]]:
    """Starts and sizes of the runs of equal keys in a sorted array."""
    starts = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]))
    return starts.tolist(), np.diff(starts, append=len(sorted_keys)).tolist()


def _expectations(
    pairs: list[tuple[FloatArray, FloatArray]], ended: FloatArray, ts: IntArray, ps: IntArray
) -> FloatArray:
    size, largest = len(ended), int(ps.max())
    log = log_binomial(np.arange(size + 1)[:, None], np.arange(largest + 1))
    inner = np.stack([_inner_means(keys, low, ended, log) for keys, low in pairs])
    surface = np.full((len(pairs), ts.size, ps.size), np.nan)
    for k, p in enumerate(ps.tolist()):
        usable = ts > p
        weights = position_weights(size, ts[usable], p)
        surface[:, usable, k] = ended.max() - inner[:, :, p] @ weights.T
    return surface


def position_weights(size: int, started: IntArray, continued: int) -> FloatArray:
    """w(r) of :func:`stopping_expectation`, shape (len(started), size): rows sum to one."""
    r, t = np.arange(size), started[:, None]
    weights = np.exp(
        log_binomial(r, continued)
        + log_binomial(size - 1 - r, t - continued - 1)
        - log_binomial(size, t)
    )
    # The error of log-gamma is mostly common to a row: dividing by the sum removes it.
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _inner_means(
    keys: FloatArray, stopped: FloatArray, ended: FloatArray, log: FloatArray
) -> FloatArray:
    """Inner sums of :func:`stopping_expectation` over C(r, p), shape (r, p); 0 for p > r."""
    size, top = len(keys), float(ended.max())
    order = np.argsort(-keys, kind="stable")
    keys, stopped, ended = keys[order], stopped[order], ended[order]
    means = np.zeros((size, log.shape[1]))
    before = np.empty(0)  # ends of the runs ranked above, sorted
    reach = -1
    for start, count in zip(*tie_groups(keys), strict=True):
        if start + count > reach:
            # C(g, p) is kept over C(reach, p) with reach a little above r, so that
            # neither underflows; the table lasts until r has outgrown it.
            reach = min(size, (start + count) * 5 // 4 + 8)
            share = np.exp(log[: reach + 1, : reach + 1] - log[reach, : reach + 1])
        low = stopped[start]
        members = np.sort(ended[start : start + count])
        if count == 1:
            below = int(np.searchsorted(before, low, side="right"))
            levels = np.empty(start - below + 2)
            levels[0], levels[1:-1], levels[-1] = low, before[below:], top
            means[start, : reach + 1] = np.diff(levels) @ share[below : start + 1]
        else:
            means[start : start + count, : reach + 1] = _group_sums(
                low, before, members, top, log[: reach + 1, : reach + 1], share
            )
        rows = slice(start, start + count)
        with np.errstate(over="ignore", invalid="ignore"):  # p > r, set to 0 below
            means[rows, : reach + 1] *= np.exp(log[reach, : reach + 1] - log[rows, : reach + 1])
        before = np.sort(np.concatenate([before, members]))
    return np.where(np.isfinite(log[:size]), means, 0.0)


def _group_sums(
    low: float,
    before: FloatArray,
    members: FloatArray,
    top: float,
    log: FloatArray,
    share: FloatArray,
) -> FloatArray:
    """Inner sums of one tie group over C(reach, p), shape (members, p)."""
    count, largest = len(members), log.shape[1] - 1
    levels = np.unique(np.concatenate([[low], before[before > low], members[members > low]]))
    gaps = np.diff(levels, append=top)
    above = np.searchsorted(before, levels, side="right")
    inside = np.searchsorted(members, levels, side="right")
    taken = np.arange(min(count - 1, largest) + 1)
    part = np.exp(log[: count + 1, taken] - log[count, taken])  # C(g, i) / C(n, i)
    ahead = np.exp(log[:count, taken] - log[-1, taken])  # C(o, i) / C(reach, i)
    # mass[i, j] = sum over z of gap * C(g, i)/C(n, i) * C(G, j)/C(reach, j)
    mass = (gaps[:, None] * part[inside]).T @ share[above]
    split = np.zeros_like(mass)
    for i in taken.tolist():
        # C(reach, i) C(reach, p - i) / C(reach, p) makes up for the two scales.
        factor = np.exp(log[-1, i] + log[-1, : largest + 1 - i] - log[-1, i:])
        split[i, i:] = mass[i, : largest + 1 - i] * factor
    return np.asarray(ahead @ split)


def _counts(given: npt.ArrayLike, least: int, most: int, name: str) -> IntArray:
    numbers = np.atleast_1d(np.asarray(given))
    whole = numbers.astype(np.int64)
    wrong = (whole != numbers) | (whole < least) | (whole > most)
    if numbers.ndim != 1 or numbers.size == 0 or wrong.any():
        got = numbers[wrong][0] if wrong.any() else numbers.tolist()
        raise ValueError(
            f"{name} holds {got}; allowed: whole numbers from {least} to {most}, the pool having "
            "no more runs to draw."
        )
    return whole
