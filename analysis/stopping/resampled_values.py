"""Values of early-stopping plans on many bootstrap resamples of one pool at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.best_of_n.binomial import log_binomial
from analysis.stopping.expectation import position_weights

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Scores are rounded up to about so many levels: resamples only give an error.
MOST_LEVELS = 60
# Positions of the best stopped run that are less likely do not change an error.
NEGLIGIBLE = 1e-6


class ResampledPool:
    """Resamples of a pool of runs that are ranked at one evaluation.

    Parameters
    ----------
    at_fraction, at_end : arrays of N floats
        Best score so far of every run, at the evaluation where it is ranked and at the end.
    drawn : array of integers in [0, N), shape (R, N)
        Runs of each resample. Equal scores keep the order of the resample.
    """

    def __init__(self, at_fraction: FloatArray, at_end: FloatArray, drawn: IntArray) -> None:
        keys = at_fraction[drawn]
        order = np.argsort(-keys, axis=1, kind="stable")
        self._stopped = np.take_along_axis(keys, order, axis=1)
        ended = np.take_along_axis(at_end[drawn], order, axis=1)
        levels = np.unique(np.concatenate([at_fraction, at_end]))
        if len(levels) > MOST_LEVELS:
            # The best of several runs is among the high ones, so levels are dense there.
            from_top = np.geomspace(1, len(levels), MOST_LEVELS).round().astype(np.int64)
            levels = levels[len(levels) - np.unique(from_top)[::-1]]
        self._levels = levels
        # Runs ranked above each one that end at a level or below, shape (R, N, levels).
        below = (ended[:, :, None] <= levels).astype(np.int16)
        self._worse = np.cumsum(below, axis=1, dtype=np.int16) - below

    def values(self, started: int, continued: int) -> FloatArray:
        """Expected best of every resample for a plan (t, p), with 0 < p < t <= N; shape (R,).

        The formula of `expectation.stopping_expectation`, draws without replacement.
        """
        size = self._stopped.shape[1]
        weights = position_weights(size, np.array([started]), continued)[0]
        likely = np.flatnonzero(weights > NEGLIGIBLE)
        log = log_binomial(np.arange(size), continued)
        # The chance that all continued runs are among the worse ones; impossible ones are 0.
        chances = np.exp(log[None, :] - log[likely, None]) * weights[likely, None]
        worse = self._worse[:, likely, :-1]
        missed = chances[np.arange(len(likely))[None, :, None], worse]
        missed *= self._levels[:-1] >= self._stopped[:, likely, None]
        return np.asarray(self._levels[-1] - missed.sum(axis=1) @ np.diff(self._levels))
