"""Grids of scores that the tests of analysis are made of."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table


def crossed(generator, a, b, *, repeats=1, drop=0, sds=(1.0, 0.5, 1.0, 0.0)):
    """Scores over a x b cells; `sds` of init, order, noise and interaction."""
    init, order, noise, both = sds
    cell = (
        init * generator.standard_normal((a, 1, 1))
        + order * generator.standard_normal((1, b, 1))
        + both * generator.standard_normal((a, b, 1))
        + noise * generator.standard_normal((a, b, repeats))
    )
    index = pd.MultiIndex.from_product(
        [range(a), range(b), range(repeats)], names=["init_seed", "order_seed", "dropout_seed"]
    )
    frame = pd.Series(cell.ravel(), index=index, name="score").reset_index()
    keep = np.sort(generator.choice(len(frame), len(frame) - drop, replace=False))
    return frame.iloc[keep].reset_index(drop=True)


def grid_frame(matrix, **columns):
    a, b = matrix.shape
    return pd.DataFrame(
        {
            "init_seed": np.repeat(np.arange(a), b),
            "order_seed": np.tile(np.arange(b), a),
            "score": matrix.ravel(),
        }
        | columns
    )


def dodge2020(task, majority=None):
    """The recovered grid of best-found scores of Dodge et al. 2020, or a skip without it."""
    root = os.environ.get("SEEDLAB_DATA")
    if root is None:
        pytest.skip("SEEDLAB_DATA is unset: it names the folder that holds data/dodge2020")
    path = Path(root) / "data" / "dodge2020" / f"{task}_best_found_wi_by_do.csv"
    matrix = pd.read_csv(path, index_col=0).to_numpy()
    return read_table(grid_frame(matrix, task=task), majority=majority)
