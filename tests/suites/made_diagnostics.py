"""Studies with every diagnostic, and a loss surface, with values that are easy to predict."""

import numpy as np
import pandas as pd

from analysis.data.study import Study
from tests.suites.made_studies import complete

DEPTHS = 5


def watched(**sizes):
    """A study with every diagnostic; layer d is d + step / 10 from its start, plus the run's number."""
    study = complete(a=3, b=3, **sizes)
    runs = study.runs.assign(
        bias_correction=False, beta1=0.9, beta2=0.999, total_steps=20, warmup_ratio=0.1,
        warmup_steps=np.nan,
    )  # fmt: skip
    names = list(runs["run"])
    profiles = pd.DataFrame(
        [
            (run, step, name, depth, 0.0 if step == 0 and name == "distance" else value)
            for number, run in enumerate(names)
            for step in (0, 10, 20)
            for depth in range(DEPTHS)
            for name, value in (
                ("distance", depth + step / 10 + number),
                ("gradient_norm", 2.0 ** -(depth + step)),
            )
        ],
        columns=["run", "step", "name", "depth", "value"],
    )
    rng = np.random.default_rng(0)
    tokens = pd.DataFrame(
        [
            (run, depth, example, np.ones(4) if depth == 0 else rng.normal(size=4))
            for run in names
            for depth in range(DEPTHS - 1)
            for example in range(8)
        ],
        columns=["run", "depth", "example", "values"],
    )
    return Study(runs, study.curves, study.steps, study.predictions, profiles, tokens)


def plane(examples=50, n=5, low=-0.5, high=1.5):
    """A bowl around the successful end and a ridge before the failed one."""
    axis = np.linspace(low, high, n)
    a, b = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    loss = 0.2 + a**2 + (b - 1) ** 2
    loss = np.where((a == 0.5) & (b == 0), 9.0, loss)
    points = {(0.0, 0.0): "start", (1.0, 0.0): "failed", (0.0, 1.0): "successful"}
    point = [points.get(at, "") for at in zip(a, b, strict=True)]
    return pd.DataFrame(
        {
            "failed": "0-0", "successful": "0-4", "start": "failed", "examples": examples,
            "a": a, "b": b, "point": point, "loss": loss,
        }
    )  # fmt: skip


def line(examples=50, n=5):
    """A line with a hill of the loss and a dip of the accuracy in its middle."""
    at = np.linspace(0, 1, n)
    hill = 4 * at * (1 - at)
    return pd.DataFrame(
        {
            "first": "0-0", "second": "0-4", "examples": examples, "metric": "accuracy",
            "direction": "max", "at": at, "point": ["first", *[""] * (n - 2), "second"],
            "loss": 0.3 + 0.1 * at + hill, "score": 0.8 - 0.2 * hill,
        }
    )  # fmt: skip
