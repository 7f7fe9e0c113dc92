"""Compares the price of choosing that a pilot predicts with fresh runs.

python experiments/choosing/compare.py WORKDIR

WORKDIR/studies holds the exported studies of README.md: `choosing` (the pilot, 10 x 10 seeds) and
`choosing_fresh` (120 runs, each with seeds of its own). Prints the table of README.md and writes it to
WORKDIR/choosing.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.choosing import chosen_scores
from analysis.best_of_n.choosing_evaluations import evaluated_runs
from analysis.best_of_n.resampling import resampled_counts
from analysis.data.exported import read_study

Floats = npt.NDArray[np.float64]
Side = dict[str, tuple[Floats, Floats]]
"""where runs are reported -> expected scores (n, split), and those of the samples (sample, n, split)"""

NS = (1, 2, 5, 10)
SAMPLES = 4_000
LEVEL = 0.95
SPLITS = ("validation", "test")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    options = parser.parse_args()
    pilot, fresh = (
        read_study(options.place / "studies" / name / "tables")
        for name in ("choosing", "choosing_fresh")
    )
    for factor in ("init_seed", "order_seed"):
        shared = set(pilot.runs[factor]) & set(fresh.runs[factor])
        assert not shared, f"the pilot and the fresh runs share {factor} {sorted(shared)}"
    generator = np.random.default_rng(0)
    sides = []
    for study in (pilot, fresh):
        evaluated = evaluated_runs(study.complete_runs(), study.complete_curves())
        assert len(evaluated.runs) == len(study.runs), "every run ended and has all test scores"
        counts = resampled_counts(evaluated.runs, generator, SAMPLES)
        most = evaluated.dev.shape[1]
        sides.append(
            {
                reported: (expected(*scores), expected(*scores, counts))
                for reported, scores in (
                    ("last evaluation", evaluated.best_of_last(1)),
                    (f"best of {most} evaluations", evaluated.best_of_last(most)),
                )
            }
        )
    pairs = [rows(*sides, quantity="score"), rows(*map(gained, sides), quantity="gain")]
    table = pd.DataFrame([row for part in pairs for row in part])
    table.to_csv(options.place / "choosing.csv", index=False, float_format="%.4f")
    for quantity, part in table.groupby("quantity", sort=False):
        print(f"{markdown(part)}\n")
        print(f"{quantity}: {int(part['held'].sum())} of {len(part)} intervals contain 0.\n")


def expected(dev: Floats, test: Floats, counts: npt.NDArray[np.int64] | None = None) -> Floats:
    """Expected score of the best of n runs, shape (..., n, split), for n of `NS`."""
    found = chosen_scores(dev, test, NS, counts=counts)
    return np.stack([found.dev, found.test], axis=-1)


def gained(side: Side) -> Side:
    """The same over a run that is not chosen: n = 1, reported at its last evaluation."""
    first = [scores[..., :1, :] for scores in side["last evaluation"]]
    return {name: (scores - first[0], draws - first[1]) for name, (scores, draws) in side.items()}


def rows(pilot: Side, fresh: Side, *, quantity: str) -> list[dict[str, object]]:
    """A row per reported evaluation, n and split; intervals are percentiles of the bootstrap."""
    made: list[dict[str, object]] = []
    for reported, (predicted, draws) in pilot.items():
        seen, others = fresh[reported]
        for i, n in enumerate(NS):
            for j, split in enumerate(SPLITS):
                if quantity == "gain" and not draws[:, i, j].any():
                    continue
                low, high = limits(others[:, i, j] - draws[:, i, j])
                made.append(
                    {
                        "quantity": quantity,
                        "reported": reported,
                        "n": n,
                        "split": split,
                        "predicted": predicted[i, j],
                        **named("predicted", limits(draws[:, i, j])),
                        "fresh": seen[i, j],
                        **named("fresh", limits(others[:, i, j])),
                        "difference": seen[i, j] - predicted[i, j],
                        **named("difference", (low, high)),
                        "held": low <= 0 <= high,
                    }
                )
    return made


def limits(draws: Floats) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def named(name: str, pair: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_lower": pair[0], f"{name}_upper": pair[1]}


def markdown(table: pd.DataFrame) -> str:
    """The table of README.md."""
    plus = "+" if (table["quantity"] == "gain").all() else ""
    lines = [
        "| every run is reported at its | n | on the set | predicted | fresh runs | fresh minus predicted |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        cells = [
            f"{shown(row[name], sign)} [{shown(row[f'{name}_lower'], sign)}, "
            f"{shown(row[f'{name}_upper'], sign)}]"
            for name, sign in (("predicted", plus), ("fresh", plus), ("difference", "+"))
        ]
        lines.append(f"| {row['reported']} | {row['n']} | {row['split']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(value: float, sign: str) -> str:
    """Three decimals, never "-0.000"."""
    return f"{round(value, 3) + 0.0:{sign}.3f}"


if __name__ == "__main__":
    main()
