"""The multi-bootstrap: seeds and examples resampled together.

After Sellam et al. 2022 (MultiBERTs): the answer is about the training
procedure on the distribution of examples, not about these runs on these examples.
Examples of one cluster, such as questions on one passage, are resampled together.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.best_of_n.resampling import resampled_counts
from analysis.checks import check_at_least, check_choice, check_probability
from analysis.comparison.clusters import clustered_error, codes_of
from analysis.comparison.pairing import CELL, Factor, contrasts
from analysis.data.predictions import predictions_of
from analysis.data.study import Study
from analysis.errors import TableError

Floats = npt.NDArray[np.float64]
Seeds = npt.NDArray[np.generic]
Names = npt.NDArray[np.object_]
SEED_UNITS = ("init_seed", "order_seed", "run", "grid")


@dataclasses.dataclass(frozen=True)
class MultiBootstrap:
    """A difference (B minus A) in the mean per-example score, with both kinds of luck counted.

    ``p_value`` is one-sided, for "B is no better than A"; it cannot fall below
    ``p_floor`` = 1/(resamples + 1). ``se_examples`` is the standard error of the
    difference over examples alone, for these runs: of independent examples.
    ``se_clusters`` is the same for clusters of examples; NaN and 0 clusters without them.
    """

    difference: float
    lower: float
    upper: float
    p_value: float
    p_floor: float
    n_seeds_a: int
    n_seeds_b: int
    n_examples: int
    paired: bool
    se_examples: float
    se_clusters: float
    n_clusters: int


def multi_bootstrap(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    generator: np.random.Generator,
    *,
    seeds_a: npt.ArrayLike | None = None,
    seeds_b: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    paired: bool = True,
    level: float = 0.95,
    resamples: int = 1_000,
) -> MultiBootstrap:
    """Difference of two groups of runs under resampled seeds and examples.

    Parameters
    ----------
    a, b : floats, shapes (R_a, N) and (R_b, N)
        Per-example scores (for instance 1.0 where the run is right), higher
        better; column i is the same example in both.
    generator : numpy Generator
    seeds_a, seeds_b : arrays of R_a and R_b labels, optional
        The seed of every run. Runs of one seed are averaged first, so that seeds
        are resampled. By default every run is its own seed. Of the shape (R, 2): init and order seed
        of every run; the cells must fill a grid, of which rows and columns are resampled.
    clusters : array of N labels, optional
        The cluster of every example, at least 2 clusters. Clusters are resampled whole. By
        default every example is its own cluster.
    paired : bool
        Resample the seeds of both groups together; both must have the same ones.
    level : float in (0, 1)
        Nominal coverage of the percentile interval.
    resamples : int
        At least 100.

    Notes
    -----
    A resample weighs seeds and examples by multinomial counts w and v, and the
    difference is w' M v / (S N): all resamples are two matrix products. With clusters M holds
    the sums of each cluster, and N is the number of examples in the drawn clusters.
    p = (1 + #{difference <= 0})/(resamples + 1). With few clusters (below about 20) the
    interval is too narrow, as every bootstrap of few units. Rows and columns of a grid are resampled
    independently and a cell weighs the product of their counts ("pigeonhole bootstrap": Owen 2007,
    Annals of Applied Statistics 1, 386-411), which is on the safe side.
    """
    check_at_least("resamples", resamples, 100)
    check_probability("level", level)
    names_a, x = _by_seed(a, seeds_a, "a")
    names_b, y = _by_seed(b, seeds_b, "b")
    n = x.shape[1]
    if y.shape[1] != n:
        raise ValueError(
            f"a has {n} examples and b {y.shape[1]}; both must be scored on the same examples."
        )
    if paired and (names_a.shape != names_b.shape or (names_a != names_b).any()):
        raise ValueError(
            f"a and b have different seeds ({len(names_a)} and {len(names_b)}); pairs need the "
            "same ones. Keep the common seeds, or set paired=False."
        )
    difference = float(y.mean() - x.mean())
    per_example = y.mean(axis=0) - x.mean(axis=0)
    codes = np.arange(n) if clusters is None else codes_of(clusters, n)
    sizes = np.bincount(codes)
    units = len(sizes)
    weights = generator.multinomial(units, np.full(units, 1 / units), size=resamples)
    examples = weights / (weights @ sizes)[:, None]
    if clusters is not None:
        x, y = _by_cluster(x, codes), _by_cluster(y, codes)
    if paired:
        draws = _means(y - x, names_a, examples, generator)
    else:
        draws = _means(y, names_b, examples, generator)
        draws -= _means(x, names_a, examples, generator)
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    # A difference of 0 may come out as rounding of either sign.
    none_better = int((draws <= 1e-12).sum())
    return MultiBootstrap(
        difference=difference,
        lower=float(lower),
        upper=float(upper),
        p_value=(1 + none_better) / (resamples + 1),
        p_floor=1 / (resamples + 1),
        n_seeds_a=len(x),
        n_seeds_b=len(y),
        n_examples=n,
        paired=paired,
        se_examples=clustered_error(per_example, np.arange(n)) if n > 1 else float("nan"),
        se_clusters=float("nan") if clusters is None else clustered_error(per_example, codes),
        n_clusters=0 if clusters is None else units,
    )


def compare_predictions(
    study: Study,
    generator: np.random.Generator,
    *,
    by: Factor = "recipe",
    baseline: str | None = None,
    unit: str = "init_seed",
    level: float = 0.95,
    resamples: int = 1_000,
) -> pd.DataFrame:
    """The multi-bootstrap for every two recipes (or models) with stored predictions.

    The score of an example is 1 where it is classified correctly (accuracy),
    or minus the squared error for regression. Where the predictions have the column
    ``cluster``, clusters of examples are resampled whole.

    Parameters
    ----------
    unit : {"init_seed", "order_seed", "run", "grid"}
        Unit of resampling; runs that share it are averaged first. Paired where
        both sides have common values of it (only those are used), except for "run". "grid": rows
        and columns of the common cells are resampled; where these fill no grid of at least 2 x 2,
        init seeds. Where both seeds matter, resampling one of them gives intervals that are too
        narrow.

    Returns
    -------
    DataFrame
        ``task``, ``model`` (or ``recipe``), ``a, b, measure, difference, lower,
        upper, p_value, p_floor, n_seeds_a, n_seeds_b, n_examples, paired, se_examples,
        se_clusters, n_clusters, unit``.
    """
    check_choice("unit", unit, SEED_UNITS)
    rows = []
    for contrast in contrasts(study, by=by, baseline=baseline):
        sides = []
        for level_name in (contrast.a, contrast.b):
            model, recipe = (
                (contrast.fixed, level_name) if by == "recipe" else (level_name, contrast.fixed)
            )
            sides.append(
                predictions_of(study.subset(task=contrast.task, model=model, recipe=recipe))
            )
        left, right = sides
        if left is None or right is None:
            continue
        if len(left.examples) != len(right.examples) or (left.examples != right.examples).any():
            raise TableError(
                f"{contrast.a} and {contrast.b} on {contrast.task} predict different examples; "
                "compare runs that were scored on the same data."
            )
        measure = "accuracy" if left.is_classification else "negative squared error"
        scores = [
            side.correct if side.is_classification else -((side.logits[:, :, 0] - side.labels) ** 2)
            for side in (left, right)
        ]
        resampled, seeds, keep = _labels(left.runs, right.runs, unit)
        if keep is not None:
            scores = [part[mask] for part, mask in zip(scores, keep, strict=True)]
            seeds = [labels[mask] for labels, mask in zip(seeds, keep, strict=True)]
        found = multi_bootstrap(
            scores[0],
            scores[1],
            generator,
            seeds_a=seeds[0],
            seeds_b=seeds[1],
            clusters=_common(left.clusters, right.clusters, contrast.task),
            paired=keep is not None,
            level=level,
            resamples=resamples,
        )
        rows.append(
            contrast.labels(by)
            | {"measure": measure}
            | dataclasses.asdict(found)
            | {"unit": resampled}
        )
    return pd.DataFrame(rows)


def _labels(
    a: pd.DataFrame, b: pd.DataFrame, unit: str
) -> tuple[str, list[Seeds], list[npt.NDArray[np.bool_]] | None]:
    """Unit of resampling, its label for every run of both sides, and the runs that are pairs."""
    if unit == "grid":
        cells = [[tuple(cell) for cell in side[CELL].to_numpy()] for side in (a, b)]
        common = sorted(set(cells[0]) & set(cells[1]))
        if len(common) >= 4 and _fills_grid(np.array(common)):
            keep = [np.array([cell in common for cell in side]) for side in cells]
            return unit, [side[CELL].to_numpy() for side in (a, b)], keep
        unit = "init_seed"
    seeds: list[Seeds] = [side[unit].to_numpy() for side in (a, b)]
    both = np.intersect1d(seeds[0], seeds[1]) if unit != "run" else np.array([])
    return unit, seeds, [np.isin(labels, both) for labels in seeds] if len(both) >= 2 else None


def _fills_grid(cells: Seeds) -> bool:
    """Whether distinct pairs of seeds are all cells of a grid of at least 2 x 2."""
    levels = [len(np.unique(column)) for column in cells.T]
    return min(levels) >= 2 and len(cells) == levels[0] * levels[1]


def _common(a: Names | None, b: Names | None, task: str) -> Names | None:
    """The clusters of both sides, which must be the same."""
    if a is None or b is None or (a == b).all():
        return a if b is not None else None
    raise TableError(
        f"predictions: the clusters of the examples of {task} differ between the two sides of a "
        "comparison; an example belongs to one cluster."
    )


def _by_cluster(matrix: Floats, codes: npt.NDArray[np.intp]) -> Floats:
    """Sums of the columns of each cluster."""
    sums = np.zeros((int(codes.max()) + 1, len(matrix)))
    np.add.at(sums, codes, matrix.T)
    return sums.T


def _by_seed(values: npt.ArrayLike, seeds: npt.ArrayLike | None, name: str) -> tuple[Seeds, Floats]:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(
            f"{name} must hold finite scores of the shape (runs, examples), got {matrix.shape}."
        )
    labels: Seeds = np.arange(len(matrix)) if seeds is None else np.asarray(seeds)
    if labels.shape not in ((len(matrix),), (len(matrix), 2)):
        raise ValueError(
            f"seeds_{name} has the shape {labels.shape}; allowed: one seed per run, "
            f"({len(matrix)},), or two, ({len(matrix)}, 2)."
        )
    names, codes = np.unique(labels, axis=0, return_inverse=True)
    if names.ndim == 2 and not _fills_grid(names):
        raise ValueError(
            f"seeds_{name} has {len(names)} cells that fill no grid of at least 2 x 2; fill it, or "
            "give one seed per run."
        )
    sums = np.zeros((len(names), matrix.shape[1]))
    np.add.at(sums, codes.ravel(), matrix)
    return names, sums / np.bincount(codes.ravel())[:, None]


def _means(
    matrix: Floats, names: Seeds, examples: Floats, generator: np.random.Generator
) -> Floats:
    """Means of resampled seeds (drawn here) over resampled examples, one per resample."""
    seeds = names if names.ndim == 2 else np.column_stack([names, names])
    counts = resampled_counts(pd.DataFrame(seeds, columns=CELL), generator, len(examples))
    return np.asarray(((counts / len(names) @ matrix) * examples).sum(axis=1))
