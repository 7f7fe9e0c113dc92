"""The design of the seeds in a group of runs: a grid, or init and order seeds that move together."""

from __future__ import annotations

import pandas as pd

TOGETHER = (
    "init and order seeds move together, so these runs cannot tell their effects apart. Vary one of "
    "them alone to find the share of each."
)
"""The reason why runs whose seeds move together have no shares of variance and no grid."""


def seeds_move_together(runs: pd.DataFrame) -> bool:
    """Whether every init seed of one group has one order seed of its own, and the reverse.

    Parameters
    ----------
    runs : DataFrame
        Runs of one task, model and recipe, with ``init_seed`` and ``order_seed``.

    Returns
    -------
    bool
        False with fewer than two seeds: then neither of them moves.
    """
    cells = runs[["init_seed", "order_seed"]].drop_duplicates()
    pairs = cells["init_seed"].is_unique and cells["order_seed"].is_unique
    return len(cells) > 1 and bool(pairs)
