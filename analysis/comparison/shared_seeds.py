"""Disagreement of two runs that share a seed, beside that of two runs that share none.

Where a seed decides part of the predictions, runs that share it agree more often. Scores need not
show this: runs may err equally often on other examples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import t as student

from analysis.checks import check_probability
from analysis.comparison.consistency import ALL, GOOD
from analysis.data.predictions import Predictions, predictions_of
from analysis.data.study import Study

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
SHARED = ("no seed", "init seed", "order seed", "both seeds")
"""Seeds that the two runs of a pair have in common; the index is init + 2 * order."""
MEASURES = {True: "share of examples", False: "absolute difference"}
COLUMNS = ["of", "shared", "measure", "n_pairs", "disagreement", "lower", "upper"]
COLUMNS += ["difference", "difference_lower", "difference_upper", "n_runs", "n_init", "n_order"]
# Pairs per block: 32 MB of doubles.
BLOCK_PAIRS = 4_000_000


def disagreement_by_seeds(study: Study, *, level: float = 0.95) -> pd.DataFrame:
    """Disagreement of two runs by the seeds that they share, for every group with predictions.

    Returns
    -------
    DataFrame
        ``task, model, recipe`` and the columns of `shared_seed_table`.
    """
    tables = [
        shared_seed_table(found, level=level).assign(**key._asdict())
        for key, part in study.groups()
        if (found := predictions_of(part)) is not None and len(found.runs) > 1
    ]
    columns = ["task", "model", "recipe", *COLUMNS]
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def shared_seed_table(found: Predictions, *, level: float = 0.95) -> pd.DataFrame:
    """Disagreement over the pairs of runs that share an init seed, an order seed, or none.

    Parameters
    ----------
    found : Predictions of R runs, R >= 2
    level : float in (0, 1)
        Nominal coverage of the intervals.

    Returns
    -------
    DataFrame
        A row for each kind of pairs that there is, of all runs; where some failed and two or
        more did not, the same for the others (column ``of``). ``shared`` is one of `SHARED` ("both
        seeds": repeats of a cell). ``disagreement`` is the mean over pairs: of the share of
        examples with different classes, or, for regression, of the mean absolute difference of
        the two predictions (``measure`` says which). ``difference`` is ``disagreement`` minus
        that of pairs without a common seed. ``n_pairs, n_runs, n_init, n_order`` are counts.

    Notes
    -----
    The intervals are about other seeds on these examples. The squared error is the sum of the
    jackknife variances over init seeds and over order seeds, and the quantile Student's with
    min(a, b) - 1 degrees of freedom, as in `analysis.variance.intervals`. The sum counts what is
    common to both seeds twice, so the intervals are on the safe side: on simulated grids of 3 x 3,
    5 x 5 and 10 x 10 seeds they cover .97 to 1.0. Where init and order seeds
    move together one of the two is taken. An interval is NaN where a kind of pairs has none
    left without one of the seeds, as on 2 x 2 seeds.
    """
    check_probability("level", level)
    parts = [(ALL, found), (GOOD, found.good())]
    tables = [_of_runs(part, level).assign(of=of) for of, part in parts if part is not None]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _of_runs(found: Predictions, level: float) -> pd.DataFrame:
    init, order = (
        np.unique(found.runs[name].to_numpy(), return_inverse=True)[1]
        for name in ("init_seed", "order_seed")
    )
    sums, pairs = _sums(found, init, order)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = _with_differences(sums.sum(axis=0) / pairs.sum(axis=0))
        error, freedom = _jackknife(sums, pairs, init, order)
    width = student.ppf(0.5 + level / 2, freedom) * error if freedom else np.full(8, np.nan)
    top = 1.0 if found.is_classification else np.inf
    lower, upper = means - width, means + width
    rows = [
        {
            "shared": name,
            "measure": MEASURES[found.is_classification],
            "n_pairs": int(pairs[:, k].sum()) // 2,
            "disagreement": means[k],
            "lower": np.clip(lower[k], 0.0, top),
            "upper": np.clip(upper[k], 0.0, top),
            "difference": means[k + 4] if k else np.nan,
            "difference_lower": lower[k + 4] if k else np.nan,
            "difference_upper": upper[k + 4] if k else np.nan,
            "n_runs": len(init),
            "n_init": int(init.max()) + 1,
            "n_order": int(order.max()) + 1,
        }
        for k, name in enumerate(SHARED)
        if pairs[:, k].any()
    ]
    return pd.DataFrame(rows)


def _with_differences(means: Floats) -> Floats:
    """The means of the four kinds, and each minus that of the first, shape (..., 8)."""
    return np.concatenate([means, means - means[..., :1]], axis=-1)


def _sums(found: Predictions, init: Codes, order: Codes) -> tuple[Floats, Floats]:
    """Per run and kind, the sum of its disagreements and their number, shapes (R, 4)."""
    n_runs = len(init)
    sums, pairs = np.zeros((n_runs, 4)), np.zeros((n_runs, 4))
    block = max(1, BLOCK_PAIRS // n_runs)
    for start in range(0, n_runs, block):
        part = np.arange(start, min(start + block, n_runs))
        apart = _distances(found, part)
        kind = (init[part, None] == init) + 2 * (order[part, None] == order)
        kind[np.arange(len(part)), part] = -1  # no pair with itself
        for k in range(4):
            chosen = kind == k
            sums[part, k] = (apart * chosen).sum(axis=1)
            pairs[part, k] = chosen.sum(axis=1)
    return sums, pairs


def _distances(found: Predictions, part: Codes) -> Floats:
    """Disagreement of some runs with all runs, shape (P, R)."""
    n = len(found.examples)
    if not found.is_classification:
        values = found.logits[:, :, 0]
        return np.asarray(cdist(values[part], values, "cityblock") / n)
    equal = np.zeros((len(part), len(found.runs)))
    for k in range(found.logits.shape[2]):
        # Counts below 2^24 are exact in single precision.
        votes = (found.classes == k).astype(np.float32)
        equal += votes[part] @ votes.T
    return 1.0 - equal / n


def _jackknife(sums: Floats, pairs: Floats, init: Codes, order: Codes) -> tuple[Floats, int]:
    """Standard errors of the means and differences, shape (8,), and the degrees of freedom.

    Without a seed, its runs take their pairs along. A pair within the seed is counted at both
    of its runs, and the totals hold every pair twice.
    """
    squares, sizes = np.zeros(8), []
    for bit, codes in ((1, init), (2, order)):
        size = int(codes.max()) + 1
        together = bit == 2 and len({*zip(init, order, strict=True)}) == size == init.max() + 1
        if size < 2 or together:
            continue
        ends = np.array([1.0 if kind & bit else 2.0 for kind in range(4)])
        total, number = (
            values.sum(axis=0) - ends * _of_seed(values, codes, size) for values in (sums, pairs)
        )
        left = _with_differences(total / np.where(number > 0, number, np.nan))
        squares += (size - 1) / size * ((left - left.mean(axis=0)) ** 2).sum(axis=0)
        sizes.append(size)
    return np.sqrt(squares), min(sizes, default=1) - 1


def _of_seed(values: Floats, codes: Codes, size: int) -> Floats:
    totals = np.zeros((size, values.shape[1]))
    np.add.at(totals, codes, values)
    return totals
