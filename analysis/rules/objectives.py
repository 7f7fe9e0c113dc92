"""Objectives of a search: properties of the distribution of a setting's scores over seeds.

`analysis.rules.sequential` tests their differences.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import numpy.typing as npt

from analysis.best_of_n.expected_max import expected_max, finite_scores
from analysis.errors import DesignError, OptionError

FloatArray = npt.NDArray[np.float64]

NAMES = ("mean", "median", "expected_best(N)", "quantile(Q)", "failure_rate")
"""The objectives; N is a number of runs, Q a share of the runs, the worst ones."""

_FORM = re.compile(r"\s*([a-z_]+)\s*(?:\(\s*([0-9.]+)\s*\))?\s*")


@dataclasses.dataclass(frozen=True)
class Objective:
    """A property of the scores of one setting.

    Made by :func:`parse_objective`.

    Attributes
    ----------
    kind : str
        mean, median, expected_best, quantile or failure_rate.
    parameter : float or None
        Number of runs of ``expected_best``, share of ``quantile``.
    """

    kind: str
    parameter: float | None = None

    def __str__(self) -> str:
        return self.kind if self.parameter is None else f"{self.kind}({self.parameter:g})"

    @property
    def least(self) -> int:
        """The smallest number of runs that determines the objective."""
        return int(self.parameter or 1) if self.kind == "expected_best" else 1

    def minimised(self, lower_is_better: bool) -> bool:
        """Whether the property is to be small, for a metric of that direction."""
        return self.kind == "failure_rate" or lower_is_better

    def value(
        self,
        scores: npt.ArrayLike,
        failed: npt.ArrayLike | None = None,
        *,
        lower_is_better: bool = False,
    ) -> float:
        """Return the property.

        Parameters
        ----------
        scores : 1D array of finite floats
            One per run. A run that failed has its score too; one that diverged, the
            metric's chance value.
        failed : 1D array of bools, optional
            Needed for ``failure_rate`` alone.
        lower_is_better : bool
            Direction of the metric: the best of n runs is then the smallest score, and
            the worst share of the runs is that of the largest scores.

        Returns
        -------
        float
            In the metric's own units and direction; the failure rate in [0, 1].

        Raises
        ------
        DesignError
            There are too few runs, or `failed` is needed and missing.
        TableError
            A score is not finite.
        """
        values = finite_scores(scores)
        if values.size < self.least:
            raise DesignError(
                f"{self} needs {self.least} runs and there are {values.size}; train more seeds or "
                "ask for the best of fewer."
            )
        if self.kind == "median":
            return float(np.median(values))
        if self.kind == "expected_best":
            return float(expected_max(values, self.least, lower_is_better=lower_is_better))
        if self.kind == "quantile":
            share = float(self.parameter or 0.0)
            return float(np.quantile(values, 1 - share if lower_is_better else share))
        return float(np.mean(self.per_run(values, failed)))

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of a number per run, so that paired seeds can decide on it."""
        return self.kind in ("mean", "failure_rate")

    def per_run(self, scores: npt.ArrayLike, failed: npt.ArrayLike | None = None) -> FloatArray:
        """The numbers per run whose mean is the property; the scores where it is no mean.

        Returns
        -------
        array of float64, shape (runs,)
        """
        values = np.asarray(scores, dtype=np.float64)
        if self.kind != "failure_rate":
            return values
        if failed is None:
            raise DesignError(
                "failure_rate needs to know which runs failed, and no marks were given; allowed "
                "without marks: mean, median, expected_best(N), quantile(Q)."
            )
        lost = np.asarray(failed, dtype=np.float64)
        if lost.shape != values.shape:
            raise ValueError(f"there are {values.size} scores and {lost.size} marks of failure.")
        return lost


def parse_objective(text: str) -> Objective:
    """Read an objective: ``mean``, ``expected_best(5)``, ``quantile(0.1)`` and so on.

    Raises
    ------
    OptionError
        The objective is unknown; the message lists the known ones.

    Examples
    --------
    >>> parse_objective("quantile(0.1)").value([0.5, 0.7, 0.8])
    0.54
    """
    match = _FORM.fullmatch(text)
    kind, given = match.groups() if match else (None, None)
    if kind in ("mean", "median", "failure_rate") and given is None:
        return Objective(str(kind))
    if kind == "expected_best" and given is not None and given.isdigit() and int(given) >= 1:
        return Objective("expected_best", float(given))
    if kind == "quantile" and given is not None and given.count(".") <= 1 and given != ".":
        share = float(given)
        if 0.0 < share < 1.0:
            return Objective("quantile", share)
    raise OptionError(
        f"objective '{text}' is not known; allowed: {', '.join(NAMES)}, with a whole number N of "
        "runs from 1 on and a share Q between 0 and 1, for instance expected_best(5) and "
        "quantile(0.1)."
    )
