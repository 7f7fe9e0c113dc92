"""Studies with everything a report can show, small enough to draw in a second."""

import numpy as np
import pandas as pd

from analysis.data.score_table import read_table
from analysis.data.study import Study
from tests.suites.made_grids import grid_frame

MAJORITY = 0.527


def long_table(a=4, b=4, evaluations=5, tasks=("rte",), recipes=("devlin",), seed=0):
    """Curves that rise to a level per run; the first run never rises."""
    frames = []
    for number, (task, recipe) in enumerate((t, r) for t in tasks for r in recipes):
        rng = np.random.default_rng([seed, number])
        n = a * b
        init, order = np.divmod(np.arange(n), b)
        level = 0.68 + 0.03 * rng.standard_normal(a)[init] + 0.03 * rng.standard_normal(n)
        level[0] = 0.5
        fraction = np.arange(1, evaluations + 1) / evaluations
        curve = (
            0.5 + (level[:, None] - 0.5) * fraction + 0.01 * rng.standard_normal((n, evaluations))
        )
        curve[0, -1] = 0.52
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "recipe": recipe,
                    "run": np.repeat([f"{number}-{i}" for i in range(n)], evaluations),
                    "init_seed": np.repeat(init, evaluations),
                    "order_seed": np.repeat(order, evaluations),
                    "fraction": np.tile(fraction, n),
                    "epoch": np.tile(3 * fraction, n),
                    "n_examples": 277,
                    "score": np.round(curve * 277).ravel() / 277,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def curved(**sizes):
    """A study with curves, failed runs and the noise floor."""
    return read_table(long_table(**sizes), metric="accuracy", majority=MAJORITY)


def complete(**sizes):
    """The same with training losses and predictions."""
    study = curved(**sizes)
    rng = np.random.default_rng(7)
    runs = study.runs["run"]
    step = np.arange(1, 21)
    steps = pd.DataFrame(
        {
            "run": np.repeat(runs, len(step)),
            "step": np.tile(step, len(runs)),
            "train_loss": np.tile(0.7 * np.exp(-step / 10), len(runs))
            + 0.05 * rng.random(len(runs) * len(step)),
        }
    ).reset_index(drop=True)
    label = rng.integers(0, 2, 30)
    logits = [
        [[0.0, float(v)] for v in (2 * label - 1) + 1.5 * rng.standard_normal(len(label))]
        for _ in runs
    ]
    predictions = pd.DataFrame(
        {
            "run": np.repeat(runs, len(label)),
            "example": np.tile(np.arange(len(label)), len(runs)),
            "label": np.tile(label.astype(float), len(runs)),
            "logits": [row for rows in logits for row in rows],
        }
    ).reset_index(drop=True)
    return Study(study.runs, study.curves, steps, predictions)


def plain(a=4, b=4, **columns):
    """Scores alone: no curves, no majority value."""
    init, order = np.divmod(np.arange(a * b), b)
    frame = {"task": "rte", "init_seed": init, "order_seed": order}
    score = 0.6 + 0.01 * np.random.default_rng(3).standard_normal(a * b)
    return read_table(pd.DataFrame(frame | {"score": score} | columns))


def with_predictions(logits, labels, **columns):
    """A study of R runs (one order seed) with logits of the shape (R, N, K)."""
    runs, examples, _ = logits.shape
    scores = (logits.argmax(axis=2) == labels).mean(axis=1)[:, None]
    study = read_table(grid_frame(scores, task="t", **columns), metric="accuracy")
    table = pd.DataFrame(
        {
            "run": np.repeat(study.runs["run"].to_numpy(dtype=object), examples),
            "example": np.tile(np.arange(examples), runs),
            "label": np.tile(labels, runs),
            "logits": list(logits.reshape(runs * examples, -1)),
        }
    )
    return Study(study.runs, predictions=table)


def unread(frame, curves=None):
    """A study of runs with a ``seed`` each, without the checks of reading a table, which take time."""
    named = {"task": "rte", "model": "bert", "recipe": "devlin", "metric": "accuracy"}
    state = {"status": "finished", "failed": False, "higher_is_better": True}
    base = {k: v for k, v in (named | state).items() if k not in frame}
    runs = frame.assign(init_seed=frame["seed"], order_seed=frame["seed"], **base)
    if "run" not in runs:
        runs["run"] = [f"row{i}" for i in range(len(runs))]
    for column in ("final_score", "best_score"):
        runs[column] = runs.get(column, runs["score"])
    complete = runs["status"].isin(["finished", "failed", "diverged"])
    return Study(runs.assign(complete=complete), curves)


def unread_curves(scores, fractions, **columns):
    """The same from curves: `scores` has the shape (runs, evaluations), `columns` a value per run."""
    names = [f"r{i}" for i in range(len(scores))]
    last = scores[:, -1]
    runs = {"run": names, "seed": np.arange(len(scores)), "score": last, "failed": last <= 0.5}
    curves = pd.DataFrame(
        {
            "run": np.repeat(names, len(fractions)),
            "fraction": np.tile(fractions, len(scores)),
            "score": np.ravel(scores),
        }
    )
    return unread(pd.DataFrame(runs | columns), curves)
