"""The tables of a report as CSV files, with the columns that are promised to users."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.best_of_n.expected_max_table import COLUMNS as MAX_COLUMNS
from analysis.report.results.group_results import GroupResults
from analysis.stopping.value import COLUMNS as STOPPING_COLUMNS

# Name of the file: names of the tables of a group, one below the other.
FILES = {
    "means": "means",
    "failure_rates": "failure",
    "noise_floor": "floor",
    "variance": "variance",
    "seed_spreads": "spreads",
    "tests": "tests",
    "tests_dodge2020": "published_tests",
    "seed_means": "seed_means",
    "expected_max": "expected_max",
    "choosing": "choosing",
    "choosing_evaluations": "choosing_evaluations",
    "choosing_both": "choosing_both",
    "ensembles": "ensembles",
    "early_stopping": "early_stopping",
    "early_stopping_saving": "saving",
    "rank_correlation": "rank_correlation",
    "pruner_replay": "replay",
    "final_losses": "final_losses",
    "distances": "distances",
    "distances_over_steps": "distance_medians",
    "gradient_norms": "gradient_medians",
    "similarity": "similarity",
}
EMPTY = {"expected_max": MAX_COLUMNS, "early_stopping": STOPPING_COLUMNS}


def report_tables(groups: list[GroupResults]) -> dict[str, pd.DataFrame]:
    """The groups' tables put together, by file name.

    ``expected_max`` and ``early_stopping`` are always there, with their columns
    alone where the data do not allow them.
    """
    tables: dict[str, pd.DataFrame] = {}
    for name, source in FILES.items():
        parts = [table for found in groups if (table := found.table(source)) is not None]
        if parts:
            tables[name] = pd.concat(parts, ignore_index=True)
        elif name in EMPTY:
            tables[name] = pd.DataFrame(columns=EMPTY[name])
    return tables


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table as `folder`/NAME.csv, in full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
