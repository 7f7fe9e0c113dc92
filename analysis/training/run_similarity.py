"""Representations of runs compared in pairs, layer by layer, by common seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from analysis.data.study import Study
from analysis.errors import TableError
from analysis.training.representations import (
    Arrangement,
    arrange,
    linear_cka,
    procrustes_distance,
    svcca,
)

MEASURES = ("cka", "svcca", "procrustes")
KINDS = (
    "same init seed",
    "same order seed",
    "both seeds differ",
    "same seeds",
    "one of two failed",
    "both failed",
)
COLUMNS = ["depth", "run_a", "run_b", "kind", "n_examples", *MEASURES]


def run_similarity(study: Study, *, most_runs: int | None = None) -> pd.DataFrame:
    """Similarity of the first tokens of every two runs, at every depth.

    Parameters
    ----------
    study : Study
        One group with ``representations``. Only complete runs are compared, and
        runs whose values are not finite are left out.
    most_runs : int, optional
        Compare at most this many runs, evenly spread over the ranking by final score; the
        number of pairs grows with the square.

    Returns
    -------
    DataFrame
        ``depth, run_a, run_b, kind, n_examples, cka, svcca, procrustes``, sorted by depth.
        ``kind`` is one of `KINDS`: the seeds that two successful runs share, or the
        failure of one or both. CKA is the unbiased estimate, SVCCA keeps .99 of the variance,
        Procrustes is a distance in [0, 2]. NaN where all examples are represented alike.

    Raises
    ------
    TableError
        Fewer than two runs have representations, or of fewer than four examples.
    """
    if study.representations is None:
        raise TableError(
            "no representations were recorded; train with diagnostics.representations=256."
        )
    runs = study.complete_runs().set_index("run")
    tokens = study.representations
    bad = [run for run, part in tokens.groupby("run")["values"] if not _finite(part)]
    names = runs.index[runs.index.isin(tokens["run"]) & ~runs.index.isin(bad)]
    ranked = runs.loc[names].sort_values("final_score", kind="stable").index
    if most_runs is not None and len(ranked) > most_runs:
        ranked = ranked[np.linspace(0, len(ranked) - 1, most_runs).round().astype(int)]
    if len(ranked) < 2:
        raise TableError(
            f"representations of {len(ranked)} complete runs were recorded; pairs need two or more."
        )
    chosen = [run for run in names if run in set(ranked)]
    kinds = {(a, b): _kind(runs.loc[a], runs.loc[b]) for a, b in combinations(chosen, 2)}
    tokens = tokens.loc[tokens["run"].isin(chosen)]
    rows = []
    for depth, part in tokens.groupby("depth"):
        made = {str(run): _arranged(found) for run, found in part.groupby("run")}
        sizes = {len(found.left) for found in made.values()}
        if len(sizes) > 1 or min(sizes) < 4:
            raise TableError(
                f"representations of {', '.join(map(str, sorted(sizes)))} examples were recorded; "
                "all runs need the same number, at least 4."
            )
        for (a, b), kind in kinds.items():
            if a in made and b in made:
                x, y = made[a], made[b]
                measured = (linear_cka(x, y), svcca(x, y), procrustes_distance(x, y))
                rows.append((depth, a, b, kind, *sizes, *measured))
    return pd.DataFrame(rows, columns=COLUMNS)


def similarity_by_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Median and range of every measure over the pairs of a kind, by depth.

    Parameters
    ----------
    table : DataFrame
        Of `run_similarity`.

    Returns
    -------
    DataFrame
        ``depth, kind, measure, n_pairs, median, lower, upper``; lower and upper are the
        smallest and the largest value. Depths at which a measure is not defined are absent.
    """
    long = table.melt(
        id_vars=["depth", "kind"], value_vars=list(MEASURES), var_name="measure"
    ).dropna(subset="value")
    grouped = long.groupby(["depth", "kind", "measure"], sort=True)["value"]
    summary = grouped.agg(n_pairs="size", median="median", lower="min", upper="max")
    return summary.reset_index()


def _kind(a: pd.Series, b: pd.Series) -> str:
    failures = int(a["failed"]) + int(b["failed"])
    if failures:
        return KINDS[3 + failures]
    same = (a["init_seed"] == b["init_seed"], a["order_seed"] == b["order_seed"])
    return {(True, False): KINDS[0], (False, True): KINDS[1], (True, True): KINDS[3]}.get(
        same, KINDS[2]
    )


def _arranged(part: pd.DataFrame) -> Arrangement:
    return arrange(np.stack(part.sort_values("example")["values"].to_list()))


def _finite(values: pd.Series) -> bool:
    return all(np.isfinite(row).all() for row in values)
