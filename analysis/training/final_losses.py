"""The last training losses of every run, with its final score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.study import GROUP_COLUMNS, Study
from analysis.errors import TableError

SHARE = 0.1


def final_losses(study: Study) -> pd.DataFrame:
    """Training loss at the end and final score of every complete run.

    Returns
    -------
    DataFrame
        ``run, task, model, recipe, init_seed, order_seed, train_loss, final_score, majority,
        failed``. The loss is the mean over the last tenth of the run's steps (at least one),
        because a single batch's is noisy; NaN for a run that diverged.

    Raises
    ------
    TableError
        No losses were recorded.
    """
    runs = study.complete_runs()
    steps = study.steps
    if steps is None or not steps["run"].isin(runs["run"]).any():
        raise TableError("there are no training losses; record the steps and export them.")
    steps = steps.loc[steps["run"].isin(runs["run"])]
    by_run = steps.groupby("run")
    left = by_run.cumcount(ascending=False)
    last = np.ceil(SHARE * by_run["step"].transform("size"))
    # The sum is NaN where one of the last losses is.
    mean = steps.loc[left < last].groupby("run")["train_loss"].agg(lambda x: x.mean(skipna=False))
    columns = ["run", *GROUP_COLUMNS, "init_seed", "order_seed"]
    table = runs[[*columns, "final_score", "majority", "failed"]].copy()
    table.insert(len(columns), "train_loss", table["run"].map(mean))
    return table
