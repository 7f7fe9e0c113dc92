"""Crossings of two best-of-n curves: the better recipe depends on the number of runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.best_of_n.expected_max import Estimator, expected_max


def crossings(curve_a: npt.ArrayLike, curve_b: npt.ArrayLike) -> list[int]:
    """The n at which the lead passes from one curve to the other.

    Parameters
    ----------
    curve_a, curve_b : 1D arrays of equal length
        Values at n = 1, 2, ...; higher is better.

    Returns
    -------
    list of int
        Each n is the first at which the curve that was behind is ahead.
        Touching, or falling level for good, is no crossing.
    """
    a, b = np.asarray(curve_a, dtype=np.float64), np.asarray(curve_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"the curves have the shapes {a.shape} and {b.shape}; "
            "allowed: one dimension, equal lengths. Cut both to the shorter one."
        )
    # Within rounding, because curves that are equal in exact arithmetic do not cross.
    grain = 1e-12 * np.maximum(np.abs(a), np.abs(b))
    lead = np.where(np.abs(a - b) <= grain, 0.0, np.sign(a - b))
    ahead = np.flatnonzero(lead)
    turns = ahead[1:][lead[ahead[1:]] != lead[ahead[:-1]]]
    return [int(n) + 1 for n in turns]


def best_of_n_crossings(
    a: npt.ArrayLike, b: npt.ArrayLike, *, estimator: Estimator = "unbiased"
) -> list[int]:
    """The n at which the expected best-of-n curves of two samples cross.

    Parameters
    ----------
    a, b : 1D arrays of finite floats
        Scores of which higher is better. Curves are compared up to the size of
        the smaller sample; a crossing near that end rests on few runs.
    """
    ns = np.arange(1, min(np.size(a), np.size(b)) + 1)
    return crossings(
        expected_max(a, ns, estimator=estimator), expected_max(b, ns, estimator=estimator)
    )
