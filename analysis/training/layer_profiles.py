"""Diagnostics by depth put together: how far layers moved, how large their gradients were."""

from __future__ import annotations

import pandas as pd

from analysis.data.study import GROUP_COLUMNS, Study
from analysis.errors import TableError

DISTANCE, GRADIENT = "distance", "gradient_norm"
HOW = {
    DISTANCE: "diagnostics.distances=true",
    GRADIENT: "diagnostics.gradient_norms=10",
}


def depth_names(n_depths: int) -> list[str]:
    """Names of the depths of a model: embeddings, the layers from the bottom up, head."""
    return ["embeddings", *(str(layer) for layer in range(1, n_depths - 1)), "head"]


def profiles_named(study: Study, name: str) -> pd.DataFrame:
    """The profiles of one kind of the complete runs: ``run, step, depth, value, failed``.

    Raises
    ------
    TableError
        There are none; the message names the setting that records them.
    """
    runs = study.complete_runs()
    found = study.profiles
    if found is not None:
        found = found.loc[(found["name"] == name) & found["run"].isin(runs["run"])]
    if found is None or found.empty:
        what = "distances" if name == DISTANCE else "gradient norms"
        raise TableError(f"no {what} by layer were recorded; train with {HOW[name]}.")
    failed = found["run"].map(runs.set_index("run")["failed"]).astype("bool")
    return found.drop(columns="name").assign(failed=failed).reset_index(drop=True)


def distances_at_end(study: Study) -> pd.DataFrame:
    """Distance of every layer from its start after the last step, over the runs of each group.

    Returns
    -------
    DataFrame
        ``task, model, recipe, depth, place, n_runs, n_failed, median, lower, upper``; lower
        and upper are the smallest and the largest distance. A run's distance is that of its last
        evaluation.
    """
    found = profiles_named(study, DISTANCE)
    last = found.loc[found["step"] == found.groupby("run")["step"].transform("max")]
    last = last.merge(study.runs[["run", *GROUP_COLUMNS]], on="run")
    grouped = last.groupby([*GROUP_COLUMNS, "depth"], sort=False)
    table = grouped.agg(
        n_runs=("run", "nunique"),
        n_failed=("failed", "sum"),
        median=("value", "median"),
        lower=("value", "min"),
        upper=("value", "max"),
    ).reset_index()
    return _placed(table)


def profile_medians(study: Study, name: str) -> pd.DataFrame:
    """Median of a profile over the runs of a group that failed, and over those that did not.

    Returns
    -------
    DataFrame
        ``task, model, recipe, failed, step, depth, place, n_runs, median``. Values that are no
        numbers are left out.
    """
    found = profiles_named(study, name).merge(study.runs[["run", *GROUP_COLUMNS]], on="run")
    keys = [*GROUP_COLUMNS, "failed", "step", "depth"]
    grouped = found.dropna(subset="value").groupby(keys, sort=False)["value"]
    return _placed(grouped.agg(n_runs="size", median="median").reset_index())


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the name of every depth; groups may be of models of different depth."""
    highest = table.groupby(list(GROUP_COLUMNS))["depth"].transform("max")
    places = [
        depth_names(int(top) + 1)[int(depth)]
        for depth, top in zip(table["depth"], highest, strict=True)
    ]
    table.insert(list(table.columns).index("depth") + 1, "place", places)
    return table
