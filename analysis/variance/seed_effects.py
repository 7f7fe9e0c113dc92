"""What single seeds are worth: their means, the best and the worst, the same on other tasks.

The best seed of a grid is the best by luck as well: its mean here is no
forecast. `permutation.factor_tests` says whether seeds differ at all.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from analysis.checks import check_at_least, check_probability
from analysis.data.study import Study
from analysis.rounding import ROUNDING
from analysis.variance.arrangements import extreme_share, listed_sums

Floats = npt.NDArray[np.float64]
FACTORS = ("init_seed", "order_seed")


def seed_means(study: Study, *, value: str = "score", level: float = 0.95) -> pd.DataFrame:
    """Mean score of every init and every order seed, with Student's intervals.

    Parameters
    ----------
    study : Study
        Only its complete runs are used.
    value : str
        Column of `Study.runs`.
    level : float in (0, 1)
        Nominal coverage of each interval, of the seed's mean over all levels of
        the other factor; not simultaneous over seeds.

    Returns
    -------
    DataFrame
        ``task, model, recipe, factor, seed, mean, sd, lower, upper, best, n_runs,
        n_failed, rank`` (1 is the best; ties share their mean rank). A seed
        with one run has no interval.
    """
    check_probability("level", level)
    tables = []
    for key, part in study.groups():
        runs = part.complete_runs()
        if runs.empty:
            continue
        runs = runs.assign(value=runs[value].astype("float64"))
        up = bool(runs["higher_is_better"].iloc[0])
        for factor in FACTORS:
            grouped = runs.groupby(factor)
            table = grouped["value"].agg(["mean", "std", "max" if up else "min", "size"])
            table.columns = pd.Index(["mean", "sd", "best", "n_runs"])
            n = table["n_runs"].to_numpy(dtype=np.float64)
            quantile = student.ppf(0.5 + level / 2, np.maximum(n - 1, 1))
            half = np.where(n > 1, quantile * table["sd"] / np.sqrt(n), np.nan)
            table["lower"], table["upper"] = table["mean"] - half, table["mean"] + half
            table["n_failed"] = grouped["failed"].sum()
            table["rank"] = _ranks(-table["mean"] if up else table["mean"])
            table = table.rename_axis("seed").reset_index()
            tables.append(table.assign(**key._asdict(), factor=factor))
    columns = ["task", "model", "recipe", "factor", "seed", "mean", "sd", "lower", "upper"]
    columns += ["best", "n_runs", "n_failed", "rank"]
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )


def _ranks(means: pd.Series) -> Floats:
    """Ranks from 1 on; means that differ by rounding alone share their mean rank."""
    scale = float(means.abs().max())
    rounded = (means / scale).round(-round(math.log10(ROUNDING))) if scale > 0 else means
    return np.asarray(rankdata(rounded))


def best_and_worst_seeds(study: Study, *, value: str = "score") -> pd.DataFrame:
    """The scores of the seed with the best and of the seed with the worst mean.

    Returns
    -------
    DataFrame
        One row per run of those seeds: ``task, model, recipe, factor, place``
        ("best" or "worst"), ``seed, run, score``: the samples of a density.
    """
    means = seed_means(study, value=value)
    samples = []
    for key, part in study.groups():
        runs = part.complete_runs()
        for factor in FACTORS:
            ranks = means[
                (means[["task", "model", "recipe"]] == list(key)).all(axis=1)
                & (means["factor"] == factor)
            ].sort_values("rank", kind="stable")
            if len(ranks) < 2:
                continue
            for place, seed in (("best", ranks["seed"].iloc[0]), ("worst", ranks["seed"].iloc[-1])):
                sample = runs.loc[runs[factor] == seed, ["run", value]].set_axis(
                    ["run", "score"], axis=1
                )
                samples.append(
                    sample.assign(**key._asdict(), factor=factor, place=place, seed=seed)
                )
    columns = ["task", "model", "recipe", "factor", "place", "seed", "run", "score"]
    if not samples:
        return pd.DataFrame(columns=columns)
    joined: pd.DataFrame = pd.concat(samples, ignore_index=True)
    return joined.reindex(columns=columns)


def seeds_across_tasks(
    study: Study,
    generator: np.random.Generator,
    *,
    value: str = "score",
    permutations: int = 9_999,
) -> pd.DataFrame:
    """Do the same seeds win on several tasks? Rank correlation of the seeds' means.

    Parameters
    ----------
    study : Study
        Several tasks with the same model, recipe and seeds.
    generator : numpy Generator
        Shuffles the seeds of one task against those of the other.
    value : str
        Column of `Study.runs`.
    permutations : int
        Number of shuffles, at least 99.

    Returns
    -------
    DataFrame
        Per model, recipe and factor one row for every pair of tasks, and, with
        three tasks or more, one for all ("all tasks": the mean over pairs):
        ``task_a, task_b, spearman, p_value`` (one-sided: the same seeds win),
        ``p_floor`` (the smallest p-value that these seeds could give: 1/6 for three seeds and
        two tasks), ``n_seeds`` (common to the tasks). Up to 20,000 orders of the seeds are
        listed instead of drawn, and their p-values are exact. Pairs with fewer than three
        common seeds, or constant means, have NaN.
    """
    check_at_least("permutations", permutations, 99)
    means = seed_means(study, value=value)
    rows: list[dict[str, object]] = []
    for (model, recipe, factor), part in means.groupby(["model", "recipe", "factor"], sort=False):
        wide = part.pivot_table(index="seed", columns="task", values="rank", sort=False)
        sets = [list(pair) for pair in itertools.combinations(wide.columns, 2)]
        if len(wide.columns) > 2:
            sets.append(list(wide.columns))
        for tasks in sets:
            common = wide[tasks].dropna()
            rho, p_value, floor = _agreement(common.to_numpy(), generator, permutations)
            pair = len(tasks) == 2
            rows.append(
                {
                    "model": model,
                    "recipe": recipe,
                    "factor": factor,
                    "task_a": tasks[0] if pair else "all tasks",
                    "task_b": tasks[1] if pair else "all tasks",
                    "spearman": rho,
                    "p_value": p_value,
                    "p_floor": floor,
                    "n_seeds": len(common),
                }
            )
    columns = ["model", "recipe", "factor", "task_a", "task_b", "spearman", "p_value"]
    return pd.DataFrame(rows, columns=[*columns, "p_floor", "n_seeds"])


def _agreement(
    ranks: Floats, generator: np.random.Generator, permutations: int
) -> tuple[float, float, float]:
    """Mean Spearman correlation over pairs of columns, its one-sided p-value and the p's floor."""
    unknown = (float("nan"),) * 3
    if len(ranks) < 3:
        return unknown
    z = np.column_stack([rankdata(column) for column in ranks.T])
    z -= z.mean(axis=0)
    length = np.sqrt((z**2).sum(axis=0))
    if (length == 0).any():
        return unknown
    z /= length
    n_seeds, n_tasks = z.shape
    pairs = n_tasks * (n_tasks - 1) / 2

    def mean_correlation(total: Floats) -> Floats:
        # The squared length of the sum of unit vectors is n_tasks + 2 * (sum over pairs).
        return np.asarray(((total**2).sum(axis=-1) - n_tasks) / 2 / pairs)

    observed = float(mean_correlation(z.sum(axis=1)))
    seeds = np.arange(n_seeds)
    listed = listed_sums([(column, seeds) for column in z.T], n_seeds)
    if listed is not None:
        every = mean_correlation(listed)
        exact, extreme = (float((every >= x - 1e-9).mean()) for x in (observed, every.max()))
        return observed, exact, extreme
    total = np.tile(z[:, 0], (permutations, 1))
    for column in z.T[1:]:
        total += generator.permuted(np.tile(column, (permutations, 1)), axis=1)
    n_as_large = int((mean_correlation(total) >= observed - 1e-9).sum())
    floor = max(1 / (permutations + 1), extreme_share(list(z.T)))
    return observed, (1 + n_as_large) / (permutations + 1), floor
