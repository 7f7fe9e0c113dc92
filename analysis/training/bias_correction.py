"""Adam's bias correction, which BERTAdam leaves out, as one factor of the step's length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.frames import flags, numbers
from analysis.data.study import Study
from analysis.errors import TableError

NEEDED = ("bias_correction", "beta1", "beta2", "total_steps", "warmup_ratio", "warmup_steps")


def correction_factor(
    step: npt.ArrayLike, beta1: float = 0.9, beta2: float = 0.999
) -> npt.NDArray[np.float64]:
    """Factor by which bias correction changes the length of an update.

    f(t) = sqrt(1 - beta2^t) / (1 - beta1^t), the factor of Kingma & Ba 2015 (section 2) that
    Zhang et al. 2021 and Mosbach et al. 2021 draw. Without correction an update is 1 / f(t)
    times as long (epsilon aside).

    Parameters
    ----------
    step : array of int, at least 1
        Number of the update, counted from 1.
    beta1, beta2 : float in [0, 1)

    Returns
    -------
    array of float64
        Positive; it tends to 1.
    """
    t = np.asarray(step, dtype=np.float64)
    if (t < 1).any():
        raise ValueError(f"step is {t.min():g}; updates are counted from 1.")
    if not (0.0 <= beta1 < 1.0 and 0.0 <= beta2 < 1.0):
        raise TableError(f"beta1 is {beta1} and beta2 {beta2}; allowed: at least 0, below 1.")
    # Not 1 - beta^t, which loses digits where beta is near 1.
    with np.errstate(divide="ignore"):
        first, second = (-np.expm1(t * np.log(beta)) for beta in (beta1, beta2))
    factor: npt.NDArray[np.float64] = np.sqrt(second) / first
    return factor


def uncorrected_schedules(study: Study) -> pd.DataFrame:
    """Betas, steps and warm-up of the runs without bias correction.

    Returns
    -------
    DataFrame
        ``beta1, beta2, steps, warmup, n_runs, n_failed``, a row per combination.

    Raises
    ------
    TableError
        The optimiser is not on record, or every run has bias correction.
    """
    runs = study.complete_runs()
    absent = [name for name in NEEDED if name not in runs]
    if absent:
        raise TableError(f"the runs' table does not state the optimiser (no column {absent[0]!r}).")
    corrected = flags(runs, "bias_correction", "the runs' table")
    runs = runs.loc[~corrected.fillna(True)]
    if runs.empty:
        raise TableError("every run has bias correction.")
    values = {name: numbers(runs, name, "the runs' table") for name in NEEDED[1:]}
    # As in training: a number of steps overrides the ratio, which is rounded down.
    warmup = values["warmup_steps"].fillna(
        np.floor(values["warmup_ratio"] * values["total_steps"] + 1e-9)
    )
    table = pd.DataFrame(
        {
            "beta1": values["beta1"],
            "beta2": values["beta2"],
            "steps": values["total_steps"].astype("int64"),
            "warmup": np.minimum(warmup, values["total_steps"]).astype("int64"),
            "failed": runs["failed"].astype("bool"),
        }
    )
    grouped = table.groupby(["beta1", "beta2", "steps", "warmup"])["failed"]
    return grouped.agg(n_runs="size", n_failed="sum").reset_index()
