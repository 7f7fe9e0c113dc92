"""The mean of a grid of scores whose rows and columns share seeds, with its standard error.

Cells of a row share an init seed, cells of a column an order seed. The mean's error therefore has a
part that does not shrink when the other factor gets more seeds.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from analysis.checks import check_probability
from analysis.errors import DesignError
from analysis.rounding import ROUNDING

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class GridMean:
    """Mean of complete grids, with its interval and the test that it is 0.

    Each attribute has the shape of the leading axes of the grids. ``error`` is the standard error,
    ``df`` its degrees of freedom. Where the scores of a grid do not vary, all but ``mean`` are NaN.
    """

    mean: Floats
    error: Floats
    df: Floats
    lower: Floats
    upper: Floats
    p_value: Floats


def grid_mean(grids: npt.ArrayLike, *, level: float = 0.95) -> GridMean:
    r"""Mean over init and order seeds, for seeds drawn from all seeds.

    Parameters
    ----------
    grids : array of floats, shape (..., a, b)
        Complete grids of a init and b order seeds, at least 2 of each, one number per cell.
    level : float in (0, 1)
        Nominal coverage of the interval.

    Returns
    -------
    GridMean

    Raises
    ------
    DesignError
        A grid is smaller than 2 x 2, or a cell is missing.
    OptionError
        `level` is outside (0, 1).

    Notes
    -----
    With the mean squares of the two-way table, the mean's variance is estimated by

    .. math:: \{\max(MS_{init}, MS_E) + \max(MS_{order}, MS_E) - MS_E\} / (a b),

    which is :math:`s^2_{init} / a + s^2_{order} / b + s^2_E / (a b)` with components that are at least
    0. Its degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2, 110-114): the squared
    sum over the sum of squares, each divided by its own degrees of freedom. A factor whose mean
    square is below the error's adds neither variance nor degrees of freedom.

    Examples
    --------
    >>> found = grid_mean([[1.0, 2.0], [3.0, 4.0]])
    >>> [round(float(x), 4) for x in (found.mean, found.error, found.df)]
    [2.5, 1.118, 1.4706]
    """
    check_probability("level", level)
    y = np.asarray(grids, dtype=np.float64)
    if y.ndim < 2 or min(y.shape[-2:]) < 2:
        raise DesignError(
            f"a grid has the shape {y.shape[-2:]}; its mean's error needs at least 2 x 2 seeds."
        )
    if not np.isfinite(y).all():
        raise DesignError("a cell of the grid is missing; give complete grids of finite numbers.")
    a, b = y.shape[-2:]
    mean = y.mean(axis=(-2, -1))
    rows = y.mean(axis=-1) - mean[..., None]
    columns = y.mean(axis=-2) - mean[..., None]
    rest = y - mean[..., None, None] - rows[..., :, None] - columns[..., None, :]
    df_rest = (a - 1) * (b - 1)
    error = (rest**2).sum(axis=(-2, -1)) / df_rest
    init = b * (rows**2).sum(axis=-1) / (a - 1)
    order = a * (columns**2).sum(axis=-1) / (b - 1)
    # One failure in a grid makes all mean squares equal: rounding must not decide.
    kept = np.stack([init, order], axis=-1) > (1 + ROUNDING) * error[..., None]
    # The coefficients of the three mean squares in the estimated variance.
    weights = np.concatenate([kept, 1 - kept.sum(axis=-1, keepdims=True)], axis=-1)
    squares = np.stack([init, order, error], axis=-1) * weights
    total = squares.sum(axis=-1)
    total = np.where(total > (ROUNDING * np.abs(y).max(axis=(-2, -1))) ** 2, total, np.nan)
    df = total**2 / (squares**2 / np.array([a - 1, b - 1, df_rest])).sum(axis=-1)
    deviation = np.sqrt(total / (a * b))
    half = student.ppf(0.5 + level / 2, df) * deviation
    p_value = 2 * student.sf(np.abs(mean) / deviation, df)
    return GridMean(mean, deviation, df, mean - half, mean + half, p_value)
