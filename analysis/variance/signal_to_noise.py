"""Signal to noise of a task: how far recipes lie apart, over how much scores move by chance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.data.study import GROUP_COLUMNS, Study
from analysis.variance.mean_interval import MeanInterval, mean_interval

PARTS = ("signal", "dispersion", "noise_steps", "noise_seeds", "ratio", "ratio_seeds")
COLUMNS = [
    *("task", "metric", "recipes", "runs", *PARTS, "steps_to_seeds"),
    *("recipes_good", "runs_good"),
    *(f"{name}_good" for name in (*PARTS, "steps_to_seeds")),
]


def signal_to_noise(study: Study, noise: pd.DataFrame) -> pd.DataFrame:
    r"""Spread between the recipes of every task, over the noise of late evaluations and of seeds.

    Parameters
    ----------
    study : Study
        Its complete runs count. A recipe is a model with a recipe.
    noise : DataFrame
        `late_noise.late_noise` of the study.

    Returns
    -------
    DataFrame
        One row per task and metric, in the metric's units: ``task, metric, recipes, runs``;
        ``signal``, the standard deviation of the recipes' true means (NaN for one recipe);
        ``dispersion``, the largest mean less the smallest; ``noise_steps`` and ``noise_seeds``,
        root mean squares over recipes; ``ratio`` = signal / noise_steps, ``ratio_seeds`` = signal /
        noise_seeds, ``steps_to_seeds`` = noise_steps / noise_seeds. Columns ``..._good`` leave out failed
        runs.

    Notes
    -----
    With k recipes, :math:`m_i` the means of their last scores on the validation set and :math:`e_i`
    the standard errors of these,

    .. math:: signal^2 = \max\{0, \sum (m_i - \bar m)^2 / (k - 1) - \sum e_i^2 / k\}.

    Without the correction, equal recipes would show a signal that is the error of their means. Where
    recipes share seeds whose effects they share, it is too large, and the signal too small.

    Heineman et al. 2025 (arXiv:2508.13144) take (largest - smallest) / mean of final scores as signal and
    the relative standard deviation of the last checkpoints as noise. The division by the mean
    cancels in the ratio. It is left out, because scores such as Matthews' correlation may be
    near 0. The largest difference grows with the number of recipes, a standard deviation does not.
    """
    rows = []
    runs = study.complete_runs()
    for (task, metric), part in runs.groupby(["task", "metric"], sort=False):
        of_task = noise.loc[(noise["task"] == task) & (noise["metric"] == metric)]
        good = _row(part.loc[~part["failed"]], of_task, "_good")
        rows.append({"task": task, "metric": metric, **_row(part, of_task, ""), **good})
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(runs: pd.DataFrame, noise: pd.DataFrame, which: str) -> dict[str, object]:
    means = [
        mean_interval(part, "final_score")
        for _, part in runs.groupby(list(GROUP_COLUMNS), sort=False)
    ]
    signal, dispersion = _signal(means)
    steps, seeds = (_quadratic_mean(noise[f"{c}{which}"]) for c in ("noise_steps", "noise_seeds"))
    row = {
        "recipes": len(means),
        "runs": len(runs),
        "signal": signal,
        "dispersion": dispersion,
        "noise_steps": steps,
        "noise_seeds": seeds,
        "ratio": _over(signal, steps),
        "ratio_seeds": _over(signal, seeds),
        "steps_to_seeds": _over(steps, seeds),
    }
    return {f"{name}{which}": value for name, value in row.items()}


def _signal(means: list[MeanInterval]) -> tuple[float, float]:
    """Standard deviation of the true means, and the range of the estimated ones."""
    if len(means) < 2:
        return math.nan, math.nan
    found = np.array([m.mean for m in means])
    # Where no interval is known, as many runs as there are seeds of the rarer kind.
    errors = [m.error if math.isfinite(m.error) else m.sd / math.sqrt(m.effective) for m in means]
    variance = float(found.var(ddof=1) - np.mean(np.square(errors)))
    signal = math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
    return signal, float(np.ptp(found))


def _quadratic_mean(values: pd.Series) -> float:
    known = values.dropna().to_numpy(dtype=np.float64)
    return float(np.sqrt(np.mean(known**2))) if len(known) else math.nan


def _over(one: float, other: float) -> float:
    return one / other if other > 0 else math.nan
