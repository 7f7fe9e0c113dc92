"""Report on the recovered grids of Dodge et al. 2020 and the paper's claims.

The best-found score of every run of the four grids (weight-init x data-order
seeds) is read from ``$SEEDLAB_DATA/data/dodge2020``; curves and final scores are
not in them. Run with ``python experiments/dodge2020/report.py [--out DIR]``; with
``--out`` every grid also gets a complete report.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import (
    Study,
    best_of_band,
    chance_of_target,
    factor_tests,
    read_table,
    seed_spreads,
    variance_components,
)
from analysis.best_of_n import expected_max

# Metric, majority baseline and what the paper prints: the best of all runs (table 1),
# the best published BERT it is compared with, standard deviations (table 3) and F
# and p of the best against the worst seed (table 4).
PAPER = {
    "mrpc": {
        "metric": "mean of accuracy and F1", "majority": 0.748, "best": 0.914, "before": 0.907,
        "sds": (0.0608, 0.0575, 0.0594), "init": (29.26, 2.0e-6), "order": (7.57, 8.3e-3),
        "threshold": 0.75,
    },
    "rte": {
        "metric": "accuracy", "majority": 0.527, "best": 0.773, "before": 0.704,
        "sds": (0.0689, 0.0659, 0.0668), "init": (15.34, 2.8e-4), "order": (9.64, 3.2e-3),
        "threshold": 0.5,
    },
    "cola": {"metric": "Matthews correlation", "majority": 0.0, "best": 0.676, "before": 0.621,
             "threshold": 0.1},
    "sst": {"metric": "accuracy", "majority": 0.509, "best": 0.951, "before": 0.932,
            "threshold": 0.0},
}  # fmt: skip
FACTORS = {"init": "init_seed", "order": "order_seed"}


def grid(task: str, folder: Path) -> Study:
    """One recovered grid; rows and columns are sorted by mean, seeds are numbered by place."""
    scores = pd.read_csv(folder / f"{task}_best_found_wi_by_do.csv", index_col=0).to_numpy()
    init, order = np.indices(scores.shape) + 1
    table = pd.DataFrame(
        {
            "task": task,
            "init_seed": init.ravel(),
            "order_seed": order.ravel(),
            "score": scores.ravel(),
        }
    )
    facts = PAPER[task]
    return read_table(table, metric=str(facts["metric"]), majority=float(facts["majority"]))


def lines(task: str, study: Study) -> list[str]:
    facts = PAPER[task]
    scores = study.runs["score"].to_numpy()
    generator = np.random.default_rng(2020)
    out = [f"{task}: {len(scores)} runs, {facts['metric']}"]
    out.append(f"  best of all runs        {scores.max():.4f}   (paper {facts['best']:.3f})")
    needed = chance_of_target(scores, float(facts["before"]), 1)
    ten = chance_of_target(scores, float(facts["before"]), 10)
    out.append(
        f"  reaches {facts['before']:.3f}, the best earlier BERT: {needed.plugin:.1%} of single runs, "
        f"{ten.plugin:.1%} of bests of 10"
    )
    row = seed_spreads(study, ddof=0).iloc[0]
    found = [row[name] for name in ("sd_overall", "sd_given_init", "sd_given_order")]
    printed = facts.get("sds")
    out.append(
        "  sd overall, given init, given order   "
        + ", ".join(f"{v:.4f}" for v in found)
        + (f"   (paper {', '.join(f'{v:.4f}' for v in printed)})" if printed else "")
    )
    shares = variance_components(study)
    shares = shares.loc[shares["subset"] == "all runs"]
    out.append(
        "  shares of the variance  "
        + ", ".join(
            f"{r['component']} {r['share']:.1%} [{r['share_lower']:.1%}, {r['share_upper']:.1%}]"
            for r in shares.to_dict("records")
        )
    )
    tests = [factor_tests(study, generator, method=m) for m in ("restricted", "dodge2020")]
    table = pd.concat(tests).set_index(["factor", "test"])
    for name, factor in FACTORS.items():
        naive = table.loc[(factor, "best against worst, naive")]
        aware = table.loc[(factor, "best against worst, selection-aware")]
        fair = table.loc[(factor, "restricted permutation")]
        printed = facts.get(name)
        out.append(
            f"  {name}: best against worst F = {naive['statistic']:.2f}, p = {naive['p_value']:.1e}"
            + (f" (paper {printed[0]}, {printed[1]:.1e})" if printed else "")
            + f"; with its selection counted p = {aware['p_value']:.4f}; all seeds p = {fair['p_value']:.4f}"
        )
    ns = [1, 10, 30, 100]
    plugin, unbiased = (expected_max(scores, ns, estimator=e) for e in ("plugin", "unbiased"))
    out.append(
        "  expected best of n      "
        + ", ".join(
            f"{n}: {p:.4f} (unbiased {u:.4f})" for n, p, u in zip(ns, plugin, unbiased, strict=True)
        )
    )
    band = best_of_band(scores, [10])
    out.append(
        f"  median best of 10       {band.point[0]:.4f}, 95% band {band.lower[0]:.4f} to "
        f"{band.upper[0]:.4f}; the band is informative up to n = {band.informative}"
    )
    at_threshold = int((scores <= float(facts["threshold"])).sum())
    near = int((scores <= float(facts["majority"]) + 0.005).sum())
    out.append(
        f"  at or below the paper's failure threshold {facts['threshold']}: {at_threshold}; within "
        f".005 of the majority classifier: {near}"
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write a complete report of every grid here")
    options = parser.parse_args()
    place = os.environ.get("SEEDLAB_DATA")
    if not place:
        sys.exit("SEEDLAB_DATA is not set; it names the folder that holds data/dodge2020")
    for task in PAPER:
        study = grid(task, Path(place) / "data" / "dodge2020")
        print("\n".join(lines(task, study)))
        if options.out:
            from analysis.report import write_report

            print(f"  {write_report(study, options.out / task, source='recovered grid')}")


if __name__ == "__main__":
    main()
