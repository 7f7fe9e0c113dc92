"""Prints the results of the recipes on the embedded task, as the tables of README.md.

seedlab run -m experiment=embedded
python experiments/embedded/report.py studies/embedded
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

from analysis.comparison.compare import compare
from analysis.data.exported import read_study
from analysis.variance.components import variance_components
from analysis.variance.failure_rates import failure_rates
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export


def main(folder: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        export(StudyFolder(folder), place)
        study = read_study(place, score="final")
    runs = study.complete_runs()
    print("| recipe | runs | failed | mean | sd | min | median | max |")
    print("|---|---|---|---|---|---|---|---|")
    for recipe, part in runs.groupby("recipe"):
        s = part.score
        print(
            f"| {recipe} | {len(s)} | {int(part.failed.sum())} | {s.mean():.3f} | {s.std():.3f} "
            f"| {s.min():.3f} | {s.median():.3f} | {s.max():.3f} |"
        )
    generator = np.random.Generator(np.random.Philox(0))
    failures = failure_rates(study)[["recipe", "n_runs", "n_failed", "rate", "lower", "upper"]]
    parts = variance_components(study).query("subset == 'all runs'")
    parts = parts[["recipe", "component", "sd", "share", "share_lower", "share_upper"]]
    pairs = compare(study, generator)
    pairs = pairs[
        ["a", "b", "n_pairs", *(c for c in pairs if c.startswith(("paired_", "spread_")))]
    ]
    for title, table in (
        ("failed runs (Wilson intervals)", failures),
        ("variance components of the final score", parts),
        ("pairwise comparisons", pairs),
    ):
        print(f"\n{title}\n")
        print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "studies/embedded")
