"""What the permutation tests share: coded runs, blocks of shuffles, p-values and their floors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.checks import check_at_least, check_choice
from analysis.errors import DesignError
from analysis.rounding import ROUNDING, varies

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
OTHER = {"init_seed": "order_seed", "order_seed": "init_seed"}
# Values per block of permutations: 32 MB of doubles.
BLOCK_VALUES = 4_000_000
# Equal statistics differ by rounding; discrete scores make equality common.
TIE = 1e-9


def coded(
    runs: pd.DataFrame, factor: str, value: str, permutations: int
) -> tuple[Floats, Indices, Indices]:
    """Centred scores, and the codes of their seeds of `factor` and of the other factor.

    Raises
    ------
    OptionError
        `factor` or `permutations` is outside its range.
    DesignError
        The factor has a single level.
    """
    check_choice("factor", factor, OTHER)
    check_at_least("permutations", permutations, 99)
    if runs[factor].nunique() < 2:
        raise DesignError(f"the grid has one {factor} only; a test needs at least two.")
    y = runs[value].to_numpy(dtype=np.float64)
    rows, _ = pd.factorize(runs[factor], sort=True)
    columns, _ = pd.factorize(runs[OTHER[factor]], sort=True)
    # Scores that are all equal have no order; their rounding must not make one.
    y = y - y.mean() if varies(y) else np.zeros(len(y))
    return y, rows.astype(np.intp), columns.astype(np.intp)


def shuffle_blocks(permutations: int, values: int) -> Iterator[int]:
    """Sizes of blocks of shuffles that fit into memory; `values` numbers per shuffle."""
    block = max(1, BLOCK_VALUES // values)
    for start in range(0, permutations, block):
        yield min(block, permutations - start)


def rounding_of_squares(y: Floats) -> float:
    """A bound for the rounding of a variance of means of `y`."""
    return ROUNDING**2 * float((y**2).mean())


def as_large(statistics: Floats, observed: float, slack: float = 0.0) -> npt.NDArray[np.bool_]:
    """Which statistics are at least the observed one, in spite of rounding by up to `slack`."""
    return np.asarray(statistics >= observed * (1 - TIE) - slack)


def listed_result(
    test: str, statistic: float, every: Floats, slack: float = 0.0
) -> dict[str, object]:
    """The exact result of a test; `every` holds the statistics of all its arrangements."""
    return {
        "test": test,
        "statistic": statistic,
        "p_value": float(as_large(every, statistic, slack).mean()),
        "p_floor": float(as_large(every, float(every.max()), slack).mean()),
    }


def drawn_result(
    test: str, statistic: float, n_as_large: int, permutations: int, extreme: float = 0.0
) -> dict[str, object]:
    """The result of a test on random shuffles; `extreme` is the share of the most extreme ones."""
    return {
        "test": test,
        "statistic": statistic,
        "p_value": (1 + n_as_large) / (permutations + 1),
        "p_floor": max(1 / (permutations + 1), extreme),
    }
