"""Compares studies under early stopping with the full grid, and reports cost and benefit.

python experiments/start_many/report.py WORKDIR [--figure docs/images/start-many]

WORKDIR/studies holds the studies of README.md: `start_many` (the full grid), `start_many_live`,
`best_for_10` and `best_for_10_early` (the same cells under a policy).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.expected_max import expected_max
from analysis.figures.theme import NAVY, ORANGE, TEAL, rows, save_figure, sized, styled
from analysis.rules.policies import best_so_far, start_many
from analysis.stopping.expectation import stopping_surface
from seedlab.early_stopping.brackets import Rung, draw
from seedlab.early_stopping.promotion import Curve, decide
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.run import RunSpec
from seedlab.store.study import StudyFolder

Floats = npt.NDArray[np.float64]
DRAWS = 20_000


class Grid:
    """The full grid: runs, and their best scores so far at every evaluation."""

    def __init__(self, study: StudyFolder) -> None:
        self.study = study
        records = study.records()
        self.runs: dict[str, RunSpec] = {run: r.run_spec() for run, r in records.items()}
        curves = {run: study.curve(record) for run, record in records.items()}
        self.names = list(self.runs)
        # The untrained model is never the best.
        self.steps = sorted(step for step in next(iter(curves.values())) if step > 0)
        self.curves = curves
        self.best: Floats = best_so_far([[c[s] for s in self.steps] for c in curves.values()])
        self.total = self.steps[-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    studies = options.place / "studies"
    grid = Grid(StudyFolder(studies / "start_many"))
    for name in ("start_many_live", "best_for_10", "best_for_10_early"):
        check(grid, StudyFolder(studies / name))
    measured = options.place / "measured.json"
    if measured.is_file():
        times(json.loads(measured.read_text()))
    third, fifth = grid.total // 3, grid.total // 5
    frames = [worth(grid, 20, third, 5), worth(grid, 30, fifth, 5), plain_runs(grid, 10)]
    if options.figure:
        save_figure(figure(pd.concat(frames)), options.figure)


def check(grid: Grid, study: StudyFolder) -> None:
    """Compare a study under the policy with the grid: bits, decision, best score, cost."""
    records = study.records()
    for run in records:
        a, b = study.read(run), grid.study.read(run)
        n = a.record.steps
        assert a.arrays.losses.tobytes() == b.arrays.losses[:n].tobytes(), run
        assert list(a.arrays.evaluations) == [e for e in b.arrays.evaluations if e.step <= n], run
        if a.record.is_over:
            for split, logits in b.arrays.logits.items():
                assert a.arrays.logits[split].tobytes() == logits.tobytes(), (run, split)
    over = {run for run, record in records.items() if record.is_over}
    (folder,) = (study.folder / "decisions").iterdir()
    plan, outcome = (content(folder / f"{name}.json") for name in ("plan", "outcome"))
    rung = plan["heats"][0]["rungs"][0]
    names = [cell["run"] for cell in plan["started"]]
    at = grid.steps.index(rung["step"])
    mine = [grid.names.index(name) for name in names]
    predicted = start_many(
        [[grid.curves[n][s] for s in grid.steps[: at + 1]] for n in names],
        rung["keep"],
        names=names,
        seed=plan["policy"]["seed"],
    )
    survivors = {name for name, goes_on in zip(names, predicted, strict=True) if goes_on}
    ends = grid.best[mine, -1][predicted]
    best = max(float(grid.best[mine, at].max()), float(ends.max()))
    assert survivors == over
    assert best == outcome["best_score"]
    print(f"{study.name}: {len(names)} runs compared after step {rung['step']} of {grid.total}")
    print(
        f"  {len(over)} of {len(over)} survivors bit-equal to the full grid's (losses, curve, logits),"
    )
    print(f"  {len(records) - len(over)} stopped runs up to the step where they were stopped")
    print("  survivors are those that replaying the full grid gives; best score as predicted:")
    print(f"  {best:.3f} (the full grid's best among these runs: {grid.best[mine, -1].max():.3f})")
    print(
        f"  cost {outcome['cost']:.2f} full trainings, by the formula {outcome['expected_cost']:.2f}"
    )


def worth(grid: Grid, started: int, step: int, continued: int) -> pd.DataFrame:
    """Compare the exact expectation with many draws of the live policy, and with plain runs."""
    at = grid.steps.index(step)
    budget = round((started * step + continued * (grid.total - step)) / grid.total)
    columns = grid.best[:, [at, -1]]
    exact = float(stopping_surface(columns, [started], [continued])[0, 0, 0])
    plain = float(expected_max(grid.best[:, -1], [budget])[0])
    generator = np.random.Generator(np.random.Philox(0))
    live = np.array([replayed(grid, at, started, continued, generator) for _ in range(DRAWS)])
    error = live.std(ddof=1) / np.sqrt(DRAWS)
    several = np.array([by_columns(grid, at, started, continued, seed) for seed in range(2000)])
    print(f"t = {started}, f = {step / grid.total:.3f}, p = {continued}: {budget} full trainings")
    print(f"  exact expectation of the best       {exact:.5f}")
    print(
        f"  mean of {DRAWS} draws of the live rule {live.mean():.5f} +- {error:.5f} "
        f"(standard error; {abs(live.mean() - exact) / error:.1f} of them apart)"
    )
    print(f"  drawn by whole columns instead      {several.mean():.5f} (2000 seeds of the draw)")
    print(f"  {budget} plain runs                       {plain:.5f}")
    print(f"  gain                                {exact - plain:+.5f}")
    return counts(f"start {started}, continue {continued} after {step / grid.total:.0%}", live)


def plain_runs(grid: Grid, budget: int) -> pd.DataFrame:
    """Return the best scores of many draws of runs without early stopping."""
    generator = np.random.Generator(np.random.Philox(1))
    ends = grid.best[:, -1]
    draws = [generator.choice(ends, budget, replace=False).max() for _ in range(DRAWS)]
    return counts(f"{budget} plain runs", np.array(draws))


def replayed(
    grid: Grid, at: int, started: int, continued: int, generator: np.random.Generator
) -> float:
    """Draw runs without replacement, let the live rule decide, and return the best score seen."""
    chosen = generator.choice(len(grid.names), started, replace=False)
    return outcome_of(grid, chosen.tolist(), at, continued, int(generator.integers(2**32)))


def by_columns(grid: Grid, at: int, started: int, continued: int, seed: int) -> float:
    """Do the same with the live draw, which takes whole columns of runs."""
    policy = EarlyStoppingSpec("start_many", started=started, continued=continued, seed=seed)
    places = {name: k for k, name in enumerate(grid.names)}
    chosen = [places[run.run_id] for run in draw(list(grid.runs.values()), policy)]
    return outcome_of(grid, chosen, at, continued, seed)


def outcome_of(grid: Grid, chosen: list[int], at: int, continued: int, seed: int) -> float:
    step = grid.steps[at]
    policy = EarlyStoppingSpec("start_many", continued=continued, seed=seed)
    curves = {grid.names[k]: Curve({step: float(grid.best[k, at])}) for k in chosen}
    going = decide(policy, Rung(step, continued), list(curves), curves, higher_is_better=True)
    ends = [float(grid.best[k, -1]) for k in chosen if grid.names[k] in going]
    return max(*ends, *(float(grid.best[k, at]) for k in chosen))


def counts(name: str, values: Floats) -> pd.DataFrame:
    """Return the share of draws by score."""
    scores, number = np.unique(values, return_counts=True)
    mean = float(values.mean())
    return pd.DataFrame(
        {"what": name, "score": scores, "share": number / len(values), "mean": mean}
    )


def figure(frame: pd.DataFrame) -> alt.LayerChart:
    """Chance that the best score reaches at least x, for every way to spend the budget.

    Thin upright lines are the means.
    """
    parts = []
    for _, part in frame.groupby("what", sort=False):
        part = part.sort_values("score")
        parts.append(part.assign(chance=part["share"][::-1].cumsum()[::-1]))
    shown = pd.concat(parts)
    names = list(dict.fromkeys(shown["what"]))
    x = alt.X(
        "score:Q",
        title="validation accuracy of the best model",
        scale=alt.Scale(zero=False, nice=False),
    )
    color = alt.Color(
        "what:N",
        scale=alt.Scale(domain=names, range=[NAVY, TEAL, ORANGE]),
        legend=alt.Legend(columns=1, labelLimit=400),
    )
    dash = alt.StrokeDash(
        "what:N", legend=None, scale=alt.Scale(domain=names, range=[[1, 0], [2, 2], [6, 3]])
    )
    lines = (
        alt.Chart(rows(shown))
        .mark_line(interpolate="step-before", strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("chance:Q", title="chance to find at least this", axis=alt.Axis(format="%")),
            color=color,
            strokeDash=dash,
        )
    )
    means = (
        alt.Chart(rows(shown.drop_duplicates("what")))
        .mark_rule(strokeWidth=1)
        .encode(x=alt.X("mean:Q"), color=color, strokeDash=dash)
    )
    return styled(sized(alt.layer(lines, means)))


def times(measured: dict[str, dict[str, float]]) -> None:
    """Print the measured time, with and without the cost of starting."""
    full, live, start = (measured[k] for k in ("start_many", "start_many_live", "start"))
    ratio = live["processor"] / full["processor"]
    bare = (live["processor"] - start["processor"]) / (full["processor"] - start["processor"])
    print(
        f"processor time: {full['processor']:.0f} s whole, {live['processor']:.0f} s under the policy"
    )
    print(
        f"  ratio {ratio:.3f}; without starting two workers ({start['processor']:.0f} s) {bare:.3f}"
    )
    print(f"wall-clock time: {full['wall']:.0f} s and {live['wall']:.0f} s")
    for name, seconds in measured.get("widths", {}).items():
        print(
            f"  {name} runs in a column: {1e3 * seconds:.1f} ms of processor time per run and step"
        )


def content(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())["content"]
    assert isinstance(found, dict)
    return found


if __name__ == "__main__":
    main()
