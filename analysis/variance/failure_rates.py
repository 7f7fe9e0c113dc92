"""Failure rates with Wilson intervals."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import norm

from analysis.checks import check_probability
from analysis.data.study import Study


def wilson_interval(count: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion.

    Parameters
    ----------
    count : float in [0, n]
        Number of events; ties may count half, which keeps the interval on the safe side.
    n : int
        Number of trials, at least 1.
    level : float in (0, 1)
        Nominal coverage.

    Returns
    -------
    (lower, upper) : floats in [0, 1]
        Of positive width for every count, 0 and n included.
    """
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"count and n are {count} and {n}; allowed: 0 <= count <= n, n >= 1.")
    check_probability("level", level)
    z = float(norm.ppf(0.5 + level / 2))
    p, scale = count / n, 1 + z**2 / n
    middle = (p + z**2 / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (
        0.0 if count == 0 else max(middle - half, 0.0),
        1.0 if count == n else min(middle + half, 1.0),
    )


def failure_rates(study: Study, *, level: float = 0.95) -> pd.DataFrame:
    """Failure rate of every group.

    Runs are taken as independent. Where seeds matter, runs that share a seed are
    not independent, and the interval is too narrow.

    Returns
    -------
    DataFrame
        ``task, model, recipe, n_runs, n_failed, n_diverged, rate, lower, upper,
        majority, judged``. `judged` is False where no majority value is known and no
        failure is marked; a rate of 0 is then no evidence.
    """
    rows = []
    for key, part in study.groups():
        runs = part.complete_runs()
        n, failed = len(runs), int(runs["failed"].sum())
        lower, upper = wilson_interval(failed, n, level=level) if n else (math.nan, math.nan)
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
            }
        )
    return pd.DataFrame(rows)
