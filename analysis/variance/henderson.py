"""Henderson's method III for scores over a grid of init by order seeds.

The model is ``y = mu + init_i + order_j + e``, all effects random. Without
repeats ``e`` holds interaction and run noise, which cannot be separated (runs that
repeat bit for bit have no noise); with repeats of cells it splits in two. Cells may be missing; a design that falls
into unconnected parts is refused, because its effects cannot be separated.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.checks import check_choice
from analysis.data.seed_design import TOGETHER
from analysis.errors import DesignError
from analysis.rounding import varies

Floats = npt.NDArray[np.float64]
FACTORS = ("init_seed", "order_seed")


@dataclasses.dataclass(frozen=True)
class CellTable:
    """Counts, sums and sums of squares per cell; init seeds by order seeds.

    Scores are centred on their mean, which changes no component and keeps the
    sums of squares accurate.
    """

    counts: Floats
    sums: Floats
    squares: Floats

    def without(self, axis: int, index: int) -> CellTable:
        """The table without one init seed (axis 0) or order seed (axis 1)."""
        counts, sums, squares = (
            np.delete(part, index, axis) for part in (self.counts, self.sums, self.squares)
        )
        rows, columns = counts.sum(axis=1) > 0, counts.sum(axis=0) > 0
        kept = np.ix_(rows, columns)
        return CellTable(counts[kept], sums[kept], squares[kept])


@dataclasses.dataclass(frozen=True)
class SumsOfSquares:
    """Sums of squares of the additive two-way fit ("type II") and their degrees of freedom.

    ``init`` is R(init | order), ``order`` is R(order | init), ``residual`` the
    error sum of squares, of which ``within`` lies within repeated cells.
    """

    n_runs: int
    n_init: int
    n_order: int
    n_cells: int
    init: float
    order: float
    residual: float
    within: float

    @property
    def df_residual(self) -> int:
        """Degrees of freedom of the residual of the additive fit."""
        return self.n_runs - self.n_init - self.n_order + 1

    @property
    def df_within(self) -> int:
        """Degrees of freedom within repeated cells; 0 without repeats."""
        return self.n_runs - self.n_cells

    @property
    def df_interaction(self) -> int:
        """Degrees of freedom of the interaction that repeats reveal."""
        return self.n_cells - self.n_init - self.n_order + 1


def cell_table(runs: pd.DataFrame, value: str = "score") -> CellTable:
    """Counts, centred sums and squares per cell of one group's runs.

    Parameters
    ----------
    runs : DataFrame
        Rows with ``init_seed``, ``order_seed`` and the finite column `value`.

    Raises
    ------
    DesignError
        There are no runs, or a value is missing.
    """
    if runs.empty:
        raise DesignError("there are no runs; a variance needs at least a 2 x 2 grid of seeds.")
    y = runs[value].to_numpy(dtype=np.float64)
    if not np.isfinite(y).all():
        position = int(np.flatnonzero(~np.isfinite(y))[0])
        raise DesignError(
            f"column {value!r} is missing for run {position + 1} of {len(y)}; give its score "
            "(a run whose loss became NaN has the majority value)."
        )
    # Scores that are all equal have no variance; rounding must not give them one.
    y = y - y.mean() if varies(y) else np.zeros(len(y))
    rows, _ = pd.factorize(runs[FACTORS[0]], sort=True)
    columns, _ = pd.factorize(runs[FACTORS[1]], sort=True)
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    counts, sums, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (rows, columns), 1.0)
    np.add.at(sums, (rows, columns), y)
    np.add.at(squares, (rows, columns), y**2)
    return CellTable(counts, sums, squares)


def sums_of_squares(cells: CellTable) -> SumsOfSquares:
    """Sums of squares of the additive fit to a connected design.

    Raises
    ------
    DesignError
        Fewer than two levels of a factor, an unconnected design, or no degree
        of freedom left for the residual.
    """
    counts, sums = cells.counts, cells.sums
    n_init, n_order = counts.shape
    if n_init < 2 or n_order < 2:
        raise DesignError(
            f"the grid has {n_init} init and {n_order} order seeds; "
            "a variance needs at least 2 of each. Train more seeds."
        )
    _require_connected(counts)
    n = int(counts.sum())
    n_cells = int((counts > 0).sum())
    df = n - n_init - n_order + 1
    if df < 1:
        raise DesignError(
            f"{n} runs on {n_init} init and {n_order} order seeds leave no degree of freedom "
            f"for the residual; at least {n_init + n_order} runs are needed. Fill more cells."
        )
    total = float(cells.squares.sum())
    by_init = float((sums.sum(axis=1) ** 2 / counts.sum(axis=1)).sum())
    by_order = float((sums.sum(axis=0) ** 2 / counts.sum(axis=0)).sum())
    order = _adjusted(counts, sums)
    init = by_init + order - by_order
    # Differences of sums of squares: negative or tiny values here are rounding errors.
    grain = 1e-12 * max(total, np.finfo(float).tiny)

    def clean(value: float) -> float:
        return value if value > grain else 0.0

    means = np.divide(sums**2, counts, out=np.zeros_like(sums), where=counts > 0)
    return SumsOfSquares(
        n_runs=n,
        n_init=n_init,
        n_order=n_order,
        n_cells=n_cells,
        init=clean(init),
        order=clean(order),
        residual=clean(total - by_init - order),
        within=clean(total - float(means.sum())) if n > n_cells else 0.0,
    )


def components(cells: CellTable, repeats: Literal["split", "pool"] = "split") -> dict[str, float]:
    """Raw variance components, which may be negative.

    Parameters
    ----------
    cells : CellTable
        A connected design; see `cell_table`.
    repeats : {"split", "pool"}
        With repeated cells, "split" separates interaction from noise (and
        takes the interaction out of the main effects' expectations as well);
        "pool" keeps them together. Without repeats, or with too few cells for
        an interaction, both pool.

    Returns
    -------
    dict
        ``init``, ``order`` and either ``rest`` or ``interaction`` and ``noise``.

    Notes
    -----
    With n runs, n_ij of them in a cell, E R(A|B) = kA s2A + (a-1) s2E and
    kA = n - sum_j sum_i n_ij^2 / n_.j, which is n - b without repeats. With an
    interaction, E R(A|B) gains (tr_AB - sum_j sum_i n_ij^2 / n_.j) s2AB, where
    tr_AB = sum_cells n_c^2 x_c' (X'WX)^- x_c is the trace of the additive
    projection of the cells' indicators (Searle, Casella, McCulloch, Variance
    Components, 1992, chapter 5).
    """
    check_choice("repeats", repeats, ("split", "pool"))
    ss = sums_of_squares(cells)
    counts = cells.counts
    n = counts.sum()
    t_order = float((counts**2 / counts.sum(axis=0)).sum())
    t_init = float((counts**2 / counts.sum(axis=1, keepdims=True)).sum())
    k_init, k_order = n - t_order, n - t_init
    interaction = 0.0
    if repeats == "split" and ss.df_within > 0 and ss.df_interaction > 0:
        noise = ss.within / ss.df_within
        t_cells = _additive_trace(counts)
        interaction = (ss.residual - ss.within - ss.df_interaction * noise) / (n - t_cells)
        rest = {"interaction": interaction, "noise": noise}
    else:
        t_cells = 0.0
        noise = ss.residual / ss.df_residual
        rest = {"rest": noise}
    init = ss.init - (ss.n_init - 1) * noise - (t_cells - t_order) * interaction
    order = ss.order - (ss.n_order - 1) * noise - (t_cells - t_init) * interaction
    return {"init": init / k_init, "order": order / k_order, **rest}


def expectation_weights(counts: Floats) -> tuple[float, float]:
    """The coefficients kA and kB of the components in E R(A|B) and E R(B|A)."""
    n = float(counts.sum())
    k_init = n - float((counts**2 / counts.sum(axis=0)).sum())
    k_order = n - float((counts**2 / counts.sum(axis=1, keepdims=True)).sum())
    return k_init, k_order


def _adjusted(counts: Floats, sums: Floats) -> float:
    """R(columns | rows): the columns' sum of squares after the rows are fitted."""
    if (counts == counts[0, 0]).all():
        # Rows and columns of a balanced grid are orthogonal. A jackknife asks once per seed,
        # and the equations of 300 seeds take a tenth of a second each time.
        per_column = sums.sum(axis=0)
        return float(((per_column - per_column.mean()) ** 2).sum() / counts[:, 0].sum())
    row_counts = counts.sum(axis=1)
    share = counts / row_counts[:, None]
    matrix = np.diag(counts.sum(axis=0)) - counts.T @ share
    right = sums.sum(axis=0) - share.T @ sums.sum(axis=1)
    # The matrix has rank b - 1 in a connected design: fixing the last effect at 0 is enough.
    effect = np.linalg.solve(matrix[:-1, :-1], right[:-1])
    return float(right[:-1] @ effect)


def _additive_trace(counts: Floats) -> float:
    rows, columns = np.nonzero(counts)
    weight = counts[rows, columns]
    n_init, n_order = counts.shape
    x = np.zeros((len(weight), n_init + n_order - 1))
    x[np.arange(len(weight)), rows] = 1.0
    inner = columns < n_order - 1
    x[np.flatnonzero(inner), n_init + columns[inner]] = 1.0
    solved = np.linalg.solve(x.T @ (weight[:, None] * x), x.T)
    return float((weight**2 * np.einsum("cp,pc->c", x, solved)).sum())


def _require_connected(counts: Floats) -> None:
    if counts.all():
        return
    rows, columns = np.nonzero(counts)
    n_init, n_order = counts.shape
    size = n_init + n_order
    edges = coo_array((np.ones(len(rows)), (rows, n_init + columns)), shape=(size, size))
    parts, _ = connected_components(edges, directed=False)
    if parts > 1 and parts == n_init == n_order:
        raise DesignError(TOGETHER)
    if parts > 1:
        raise DesignError(
            f"the design falls into {parts} unconnected parts: no run links their seeds, so "
            "effects of init and order cannot be separated. Fill a cell that links them."
        )
