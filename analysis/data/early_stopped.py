"""Groups in which early stopping selected runs by their scores, and their valid statistics.

The runs that were trained to the end are then a selected sample: their mean, their spread
and their best of n are biased. Statistics of all runs up to the first decision are valid,
and so is the best of all runs, as one draw from the policy.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from analysis.data.study import GROUP_COLUMNS, Study
from analysis.formatting import count
from analysis.rounding import spread

STOPPED = "stopped"


def is_selected(study: Study) -> bool:
    """Whether runs of the study were stopped early by their scores."""
    return bool((study.runs["status"] == STOPPED).any())


def unselected(study: Study) -> Study:
    """The study without final scores that were selected.

    In groups (task, model, recipe) of which runs were stopped early, no run counts as
    complete, so that no estimator takes the continued runs for a random sample.
    """
    runs = study.runs
    stopped = (runs["status"] == STOPPED).groupby([runs[c] for c in GROUP_COLUMNS])
    chosen = stopped.transform("any").to_numpy(dtype=bool)
    if not chosen.any():
        return study
    return dataclasses.replace(study, runs=runs.assign(complete=runs["complete"] & ~chosen))


def at_the_decision(study: Study) -> pd.DataFrame:
    """Scores of one group at the last evaluation that all its runs reached.

    Returns
    -------
    DataFrame
        At most one row: ``fraction`` of training, ``runs``, the ``mean``, ``sd``, ``min`` and
        ``max`` of their best scores so far, and how many ``failed`` there (their score at this
        evaluation does not beat the majority value; NaN where that is unknown). All runs that
        were started are included, so the sample is not selected. A diverged run counts with its
        last score. Empty without curves.
    """
    if study.curves is None:
        return pd.DataFrame()
    sign = 1.0 if bool(study.runs["higher_is_better"].iloc[0]) else -1.0
    curves = study.curves.assign(signed=sign * study.curves["score"])
    going = study.runs.loc[study.runs["status"].isin(["finished", STOPPED]), "run"]
    reached = curves.loc[curves["run"].isin(going)].groupby("run")["fraction"].max()
    if reached.empty:
        return pd.DataFrame()
    fraction = float(reached.min())
    # The untrained model is never the best, unless no run was evaluated after it.
    after = (curves["fraction"] > 0) | (fraction <= 0)
    then = curves.loc[after & (curves["fraction"] <= fraction + 1e-12)].groupby("run")["signed"]
    best = sign * then.max()
    majority = study.runs.set_index("run")["majority"].reindex(best.index)
    failed = np.nan
    if not majority.isna().any():
        failed = float((then.last() <= sign * majority).sum())
    return pd.DataFrame(
        {
            "fraction": [fraction],
            "runs": [len(best)],
            "mean": [float(best.mean())],
            "sd": [spread(best)],
            "min": [float(best.min())],
            "max": [float(best.max())],
            "failed": [failed],
        }
    )


def selection_text(study: Study) -> str:
    """The reason why nothing is estimated from the final scores of a selected group."""
    stopped = int((study.runs["status"] == STOPPED).sum())
    ended = int(study.runs["complete"].sum())
    return (
        f"{stopped} of {count(len(study.runs), 'run')} were stopped early, chosen by their scores. The "
        f"{ended} that were trained to the end are a selected sample: they give neither the mean nor "
        "the spread of final scores, nor failure rates, variance shares, the best of n or "
        "comparisons of recipes. To estimate these, train the stopped runs to the end (the same "
        "command without early_stopping)."
    )
