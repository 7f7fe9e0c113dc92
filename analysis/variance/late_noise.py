"""The noise of late evaluations: by how much a score still moves near the end of training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.data.study import Group, Study
from analysis.data.warnings import StudyWarning
from analysis.formatting import digits_for, number
from analysis.rounding import ROUNDING
from analysis.variance.mean_interval import mean_interval

LATE = 2 / 3
"""Evaluations from this fraction of training on are late."""
HALF = 0.5
LEAST = 3
"""A line through two evaluations leaves no residual."""
RIVALS = 0.5
"""Share of the variance over seeds from which the noise of late evaluations rivals the seed."""
LEAST_RUNS = 5
# The same fraction may have been computed along two ways.
SLACK = 1e-9
NOISES = ("noise_steps", "noise_steps_with_trend", "noise_seeds")
COLUMNS = [
    *("task", "model", "recipe", "metric", "n_runs", "n_failed", "n_late", *NOISES),
    *("n_late_good", *(f"{name}_good" for name in NOISES)),
]


def late_noise(study: Study) -> pd.DataFrame:
    r"""Noise of late evaluations and spread over seeds, of every group.

    Parameters
    ----------
    study : Study
        Its complete runs count, with their curves.

    Returns
    -------
    DataFrame
        ``task, model, recipe, metric, n_runs, n_failed``; ``n_late``, the number of late evaluations
        of all runs. In the metric's units: ``noise_steps`` (around the line of each run),
        ``noise_steps_with_trend`` (around the mean of each run) and ``noise_seeds`` (standard
        deviation of the last scores of runs that share no seed). The columns ``..._good`` leave out
        failed runs, whose scores do not move and lie far from the others. NaN where the runs do
        not determine a value. All scores are those of the validation set.

    Notes
    -----
    Late evaluations are those in the last third of training. Where a run has fewer than three, its
    last three count if they lie in the second half. An evaluation is left out if the next one
    follows within less than half of the run's median distance, because both see almost the same
    weights.

    With y the late scores of a run, f their least-squares line over training and T their number,

    .. math:: s^2 = \sum_{runs} \sum (y - f)^2 / \sum_{runs} (T - 2).

    Heineman et al. 2025 (arXiv:2508.13144) take the standard deviation of the last checkpoints
    around their mean, divided by it. ``noise_steps_with_trend`` is theirs without the division,
    within runs. The line takes out progress, which is no noise. Evaluations that follow each
    other closely are alike, which makes both too small.
    """
    late = _residuals(study)
    rows = []
    for key, part in study.groups():
        runs = part.complete_runs()
        if runs.empty:
            continue
        row = {**key._asdict(), "metric": str(runs["metric"].iloc[0]), "n_runs": len(runs)}
        row["n_failed"] = int(runs["failed"].sum())
        good = _noises(runs.loc[~runs["failed"]], late)
        row |= _noises(runs, late) | {f"{name}_good": value for name, value in good.items()}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def late_noise_warnings(table: pd.DataFrame) -> Iterator[StudyWarning]:
    """Groups of `late_noise` in which the last step matters as much as the seed.

    The last score of a run holds the noise of its last evaluation. Where that noise makes half of the
    variance over seeds or more, another last step moves a score as much as another seed does.
    Failed runs are left out. Groups with fewer than five other runs are not judged.
    """
    for row in table.to_dict("records"):
        steps, seeds = row["noise_steps_good"], row["noise_seeds_good"]
        if row["n_runs"] - row["n_failed"] < LEAST_RUNS or not (seeds > 0 and steps > 0):
            continue
        if steps**2 < RIVALS * seeds**2:
            continue
        d = digits_for(min(steps, seeds))
        yield StudyWarning(
            "late noise",
            f"{'without failed runs, ' if row['n_failed'] else ''}late evaluations of one run vary with "
            f"a standard deviation of {number(steps, d)}, last scores over seeds with "
            f"{number(seeds, d)}: the choice of the last step matters as much as the seed. Average the "
            "late evaluations of each run, or evaluate on more examples.",
            Group(str(row["task"]), str(row["model"]), str(row["recipe"])),
        )


def _residuals(study: Study) -> pd.DataFrame:
    """Per run: number of late evaluations, sums of squares around the line and around the mean."""
    curves = study.complete_curves()
    if curves is None:
        return pd.DataFrame(columns=["count", "around_line", "around_mean"])
    curves = curves.sort_values(["run", "fraction"], kind="stable")
    gap = -curves.groupby("run")["fraction"].diff(-1)
    usual = gap.groupby(curves["run"]).transform("median")
    curves = curves.loc[~(gap < usual / 2)]
    from_end = curves.groupby("run").cumcount(ascending=False)
    is_late = curves["fraction"] >= LATE - SLACK
    is_late |= (from_end < LEAST) & (curves["fraction"] >= HALF - SLACK)
    late = curves.loc[is_late]
    late = late.loc[late.groupby("run")["run"].transform("size") >= LEAST]
    means = late.groupby("run")[["fraction", "score"]].transform("mean")
    x, y = (late[c] - means[c] for c in ("fraction", "score"))
    # Scores that are all equal have no noise; rounding must not give them one.
    y = y.where(y.abs() > ROUNDING * late["score"].abs(), 0.0)
    sums = pd.DataFrame({"xx": x * x, "xy": x * y, "yy": y * y}).groupby(late["run"]).sum()
    line = sums["yy"] - sums["xy"] ** 2 / sums["xx"]
    return pd.DataFrame(
        {
            "count": late.groupby("run").size(),
            # A difference of sums: what is left of a straight curve is rounding.
            "around_line": line.where(line > ROUNDING * sums["yy"], 0.0),
            "around_mean": sums["yy"],
        }
    )


def _noises(runs: pd.DataFrame, late: pd.DataFrame) -> dict[str, float]:
    known = late.loc[late.index.isin(runs["run"])].sum()
    count, n = int(known["count"]), int(late.index.isin(runs["run"]).sum())
    seeds = mean_interval(runs, "final_score").sd if len(runs) > 1 else math.nan
    return {
        "n_late": count,
        "noise_steps": _root(known["around_line"], count - 2 * n),
        "noise_steps_with_trend": _root(known["around_mean"], count - n),
        "noise_seeds": seeds,
    }


def _root(squares: float, df: int) -> float:
    return float(np.sqrt(squares / df)) if df > 0 else math.nan
