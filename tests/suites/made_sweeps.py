"""Studies that sweep settings, with scores that are known."""

import dataclasses

import numpy as np
import pandas as pd

from analysis.data.score_table import read_table


def swept(levels, scores, *, a=3, b=3, settings=None, **columns):
    """A study with an a x b grid for every level.

    `levels` are dicts of setting to value, `scores` arrays of the shape (a, b) per level.
    """
    init, order = np.divmod(np.arange(a * b), b)
    frames = []
    for level, matrix in zip(levels, scores, strict=True):
        label = ", ".join(["devlin", *(f"{k}={v}" for k, v in level.items())])
        cells = {"init_seed": init, "order_seed": order, "score": np.ravel(matrix)}
        frames.append(pd.DataFrame({"task": "rte", "recipe": label, **cells}).assign(**level))
    frame = pd.concat(frames, ignore_index=True).assign(**columns)
    frame["recipe_name"] = "devlin"
    study = read_table(frame, metric="score", majority=0.5)
    names = settings or tuple(dict.fromkeys(name for level in levels for name in level))
    return dataclasses.replace(study, settings=tuple(names))


def rising(n, a=3, b=3, *, step=0.05, noise=0.01, seed=0):
    """Grids whose means rise by `step`, with noise of row, column and cell."""
    rng = np.random.default_rng(seed)
    return [
        0.6
        + step * k
        + noise * (rng.normal(size=(a, 1)) + rng.normal(size=(1, b)) + rng.normal(size=(a, b)))
        for k in range(n)
    ]
