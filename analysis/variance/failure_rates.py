"""Failure rates with Wilson intervals."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import t as student

from analysis.checks import check_probability
from analysis.data.study import Study
from analysis.variance.mean_interval import mean_interval


def wilson_interval(
    count: float, n: float, *, level: float = 0.95, df: float = math.inf
) -> tuple[float, float]:
    """Wilson's score interval for a proportion.

    Parameters
    ----------
    count : float in [0, n]
        Number of events; ties may count half, which keeps the interval on the safe side.
    n : float
        Number of trials, at least 1; for dependent trials the effective number.
    level : float in (0, 1)
        Nominal coverage.
    df : float
        Degrees of freedom of an effective number. The quantile is Student's, and the normal one
        by default.

    Returns
    -------
    (lower, upper) : floats in [0, 1]
        Of positive width for every count, 0 and n included.
    """
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"count and n are {count} and {n}; allowed: 0 <= count <= n, n >= 1.")
    check_probability("level", level)
    z = float(student.ppf(0.5 + level / 2, df))
    p, scale = count / n, 1 + z**2 / n
    middle = (p + z**2 / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (
        0.0 if count == 0 else max(middle - half, 0.0),
        1.0 if count == n else min(middle + half, 1.0),
    )


def failure_rates(study: Study, *, level: float = 0.95) -> pd.DataFrame:
    """Failure rate of every group.

    Returns
    -------
    DataFrame
        ``task, model, recipe, n_runs, n_failed, n_diverged, rate, lower, upper,
        majority, judged, n_effective``. `judged` is False where no majority value is known and no
        failure is marked; a rate of 0 is then no evidence. `n_effective` is the number of
        independent runs whose rate would be known as well.

    Notes
    -----
    Runs that share a seed may fail together. The interval is Wilson's with the effective number
    rate (1 - rate) / error^2 of runs, from 1 to the number of runs, and Student's quantile. Error
    and degrees of freedom are those of `mean_interval.mean_interval` for the indicator of failure.
    Korn and Graubard (1998, Survey Methodology 24, 193-201) treat clustered proportions so. Without
    any failure (or success) the number of runs counts. The simulated coverage of 95% intervals is .90
    to .99; it is lowest for rare failures that one seed decides (`experiments/inference`).
    """
    rows = []
    for key, part in study.groups():
        runs = part.complete_runs()
        n, failed = len(runs), int(runs["failed"].sum())
        effective = lower = upper = math.nan
        if n:
            indicators = runs.assign(failed=runs["failed"].astype("float64"))
            effective, lower, upper = rate_interval(indicators, "failed", level=level)
        rows.append(
            {
                **key._asdict(),
                "n_runs": n,
                "n_failed": failed,
                "n_diverged": int(runs["diverged"].sum()),
                "rate": failed / n if n else math.nan,
                "lower": lower,
                "upper": upper,
                "majority": runs["majority"].iloc[0] if n else math.nan,
                "judged": bool(runs["majority"].notna().any() or failed),
                "n_effective": effective,
            }
        )
    return pd.DataFrame(rows)


def rate_interval(
    runs: pd.DataFrame, column: str, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Effective number of runs, and the interval of a rate over runs that share seeds.

    Parameters
    ----------
    runs : DataFrame
        At least one row, with ``init_seed``, ``order_seed`` and `column` with values from 0 to 1.
    column : str
    level : float in (0, 1)

    Returns
    -------
    (effective, lower, upper) : floats
        See the notes of `failure_rates`.
    """
    n, rate = len(runs), float(runs[column].mean())
    found = mean_interval(runs, column)
    if not found.error > 0 or found.design in ("independent", "one shared seed"):
        return float(n), *wilson_interval(rate * n, n, level=level)
    effective = min(max(rate * (1 - rate) / found.error**2, 1.0), float(n))
    return effective, *wilson_interval(rate * effective, effective, level=level, df=found.df)
