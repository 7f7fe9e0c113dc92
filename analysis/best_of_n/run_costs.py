"""The cost of runs: updates, examples, seconds and GPU-hours."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

COSTS = ("updates", "examples", "seconds", "gpu_hours")
GPU = "cuda"
HOUR = 3600.0


def run_costs(runs: pd.DataFrame) -> pd.DataFrame:
    """What each run cost, whatever its end.

    Parameters
    ----------
    runs : DataFrame
        Rows of `Study.runs`, optionally with ``steps`` (updates made), ``batch_size`` (examples per
        update), ``seconds`` (of training and evaluation) and ``device``.

    Returns
    -------
    DataFrame
        ``updates, examples, seconds, gpu_hours`` of float64, with the index of `runs`; NaN where they
        are unknown. ``examples`` is the updates times the batch size, so a last batch of an epoch
        that is smaller counts as a whole one. ``gpu_hours`` is known of runs on a device whose name
        begins with "cuda".

    Notes
    -----
    Runs that seedlab trained together divide their seconds, so the seconds of a run are its share
    of the pack. They depend on the machine and on the width of the pack; updates do not.
    """
    known = {
        name: runs[name].astype("float64")
        if name in runs and is_numeric_dtype(runs[name])
        else pd.Series(np.nan, index=runs.index)
        for name in ("steps", "batch_size", "seconds")
    }
    device = runs["device"] if "device" in runs else pd.Series("", index=runs.index)
    on_gpu = device.astype("str").str.lower().str.startswith(GPU)
    return pd.DataFrame(
        {
            "updates": known["steps"],
            "examples": known["steps"] * known["batch_size"],
            "seconds": known["seconds"],
            "gpu_hours": (known["seconds"] / HOUR).where(on_gpu),
        }
    )


def mean_cost(runs: pd.DataFrame) -> dict[str, float]:
    """Mean cost of a run by each measure; NaN unless it is known of every run, and above 0."""
    means = run_costs(runs).mean(skipna=False)
    return {name: float(means[name]) if means[name] > 0 else float("nan") for name in COSTS}
