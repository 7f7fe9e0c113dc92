"""Early-stopping plans (t, f, p) within a budget.

A plan starts t runs, stops them after the fraction f and continues the best p;
it costs t f + p (1 - f) full trainings. Costs are compared as whole steps,
never as floats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.errors import OptionError

IntArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Plans:
    """Plans of one or several budgets, as parallel arrays of one length.

    Attributes
    ----------
    budget : in full trainings
    started, continued : t and p, with 0 < p < t
    evaluation : index of the evaluation after which the runs are stopped
    """

    budget: IntArray
    started: IntArray
    evaluation: IntArray
    continued: IntArray

    def __len__(self) -> int:
        return len(self.budget)

    def within(self, most_started: int) -> Plans:
        """The plans that start at most `most_started` runs."""
        keep = self.started <= most_started
        return Plans(
            self.budget[keep], self.started[keep], self.evaluation[keep], self.continued[keep]
        )


def affordable_plans(
    steps: npt.ArrayLike,
    budgets: Sequence[int],
    most_started: int,
    *,
    slack: float = 0.0,
    none_continued: bool = False,
) -> Plans:
    """All plans whose cost is a budget.

    Parameters
    ----------
    steps : 1D array of T increasing integers
        Times of the evaluations; the last is the length of a full training.
        Runs can be stopped at all but the last (and at none before step 1).
    budgets : sequence of positive ints
        In full trainings.
    most_started : int
        Largest t.
    slack : float, at least 0
        Largest difference between the budget and the cost of a plan, in full
        trainings. Zero requires equality, as in Dodge et al. 2020; where the evaluations do not
        divide the training evenly, few plans meet it.
    none_continued : bool
        Allow p = 0, as the paper's sweep does.

    Returns
    -------
    Plans
        In the order of budget, evaluation, continued, started.

    Raises
    ------
    OptionError
        A budget is not positive, or `slack` is negative.
    """
    times = np.asarray(steps, dtype=np.int64)
    if any(budget < 1 for budget in budgets) or not slack >= 0:
        raise OptionError(
            f"budgets are {list(budgets)} and slack {slack}; allowed: whole trainings from 1 on "
            "and a slack from 0 on."
        )
    total = int(times[-1])
    found: list[tuple[int, int, int, int]] = []
    for budget in budgets:
        most = budget * total
        least = most - int(slack * total + 1e-9)
        for evaluation, step in enumerate(times[:-1].tolist()):
            if step < 1:
                continue
            for continued in range(0 if none_continued else 1, budget):
                spent = continued * (total - step)
                # Whole numbers t with least <= spent + t * step <= most.
                first = max(-(-(least - spent) // step), continued + 1)
                last = min((most - spent) // step, most_started)
                found += [(budget, t, evaluation, continued) for t in range(first, last + 1)]
    columns = np.array(found, dtype=np.int64).reshape(-1, 4).T
    return Plans(columns[0], columns[1], columns[2], columns[3])
