"""Similarity of two sets of representations of the same examples.

All three measures are unchanged when a representation is rotated, scaled or moved: they
compare the arrangement of the examples, not single features. None of them is defined
where all examples have the same representation; the result is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.errors import OptionError, TableError

Floats = npt.NDArray[np.float64]
# Single precision keeps seven digits: a spread below this share of the size is rounding.
NO_SPREAD = 1e-6


class Arrangement(NamedTuple):
    """A centred representation in its principal axes: ``left * singular`` has its geometry.

    Attributes
    ----------
    left : (example, axis) array of float64
        Orthonormal columns.
    singular : (axis,) array of float64
        Positive, falling; empty where all examples are alike.
    """

    left: Floats
    singular: Floats


def arrange(x: npt.ArrayLike) -> Arrangement:
    """Centre a representation and turn it into its principal axes.

    Comparing many of them pairwise, this is done once for each.

    Parameters
    ----------
    x : (example, feature) array
        Finite, with at least two examples.

    Raises
    ------
    ValueError
        It has another shape.
    TableError
        A value is not finite.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        raise ValueError(
            f"a representation has shape {values.shape}; it must be (example, feature) with two "
            "examples or more."
        )
    if not np.isfinite(values).all():
        raise TableError("a representation holds values that are not finite; leave that run out.")
    left, singular, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    if np.linalg.norm(singular) <= NO_SPREAD * np.linalg.norm(values):
        return Arrangement(left[:, :0], singular[:0])
    # Rounding errors would become noise axes of SVCCA.
    kept = singular > singular[0] * max(values.shape) * np.finfo(np.float64).eps
    return Arrangement(left[:, kept], singular[kept])


def linear_cka(
    x: npt.ArrayLike | Arrangement, y: npt.ArrayLike | Arrangement, *, unbiased: bool = True
) -> float:
    """Centred kernel alignment with linear kernels: 1 for the same arrangement.

    Parameters
    ----------
    x, y : (example, feature) array or Arrangement
        Of the same examples in the same order; the numbers of features may differ.
    unbiased : bool
        Estimate the Hilbert-Schmidt independence criterion without bias (Song et al. 2012,
        equation 5), as Nguyen et al. 2021 advise. It needs four examples; independent
        representations give 0 in the mean (slightly negative values occur), where the plain
        estimate grows with features per example.

    Returns
    -------
    float
        At most 1; at least 0 for the plain estimate. NaN where it is not defined.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton 2019, Similarity of neural network representations
    revisited. Song, Smola, Gretton, Bedo, Borgwardt 2012, Feature selection via dependence
    maximization. Nguyen, Raghu, Kornblith 2021, Do wide and deep networks learn the same things?
    """
    a, b = _pair(x, y)
    if unbiased and len(a.left) < 4:
        raise TableError(
            f"unbiased CKA needs four examples and there are {len(a.left)}; give more, or "
            "unbiased=False."
        )
    grams = [(part.left * part.singular**2) @ part.left.T for part in (a, b)]
    criterion = _unbiased_hsic if unbiased else _plain_hsic
    cross = criterion(grams[0], grams[1])
    own = criterion(grams[0], grams[0]), criterion(grams[1], grams[1])
    return cross / float(np.sqrt(own[0] * own[1])) if min(own) > 0 else float("nan")


def svcca(
    x: npt.ArrayLike | Arrangement, y: npt.ArrayLike | Arrangement, *, variance: float = 0.99
) -> float:
    """Mean canonical correlation of the leading principal axes (Raghu et al. 2017).

    Parameters
    ----------
    x, y : (example, feature) array or Arrangement
    variance : float in (0, 1]
        Axes are kept until they hold this share of the variance. Where the axes kept of both
        outnumber the examples, correlations are 1 by necessity: use several times as many
        examples as features.

    Returns
    -------
    float
        In [0, 1]; NaN where it is not defined.
    """
    if not 0.0 < variance <= 1.0:
        raise OptionError(f"variance is {variance}; allowed: above 0, at most 1.")
    a, b = _pair(x, y)
    first, second = (_leading(part, variance) for part in (a, b))
    if not first.shape[1] or not second.shape[1]:
        return float("nan")
    return float(np.minimum(np.linalg.svd(first.T @ second, compute_uv=False), 1.0).mean())


def procrustes_distance(x: npt.ArrayLike | Arrangement, y: npt.ArrayLike | Arrangement) -> float:
    """Squared distance that is left after the best rotation (Ding et al. 2021).

    Both representations are centred and scaled to Frobenius norm 1; the distance is
    2 - 2 times the nuclear norm of their cross product.

    Parameters
    ----------
    x, y : (example, feature) array or Arrangement

    Returns
    -------
    float
        0 for the same arrangement, 2 for unrelated ones; NaN where it is not defined.

    References
    ----------
    Ding, Denain, Steinhardt 2021, Grounding representation similarity with statistical testing.
    Schönemann 1966, A generalized solution of the orthogonal Procrustes problem.
    """
    a, b = _pair(x, y)
    if not len(a.singular) or not len(b.singular):
        return float("nan")
    first, second = (part.left * (part.singular / np.linalg.norm(part.singular)) for part in (a, b))
    nuclear = np.linalg.svd(first.T @ second, compute_uv=False).sum()
    return float(max(2.0 - 2.0 * nuclear, 0.0))


def _pair(
    x: npt.ArrayLike | Arrangement, y: npt.ArrayLike | Arrangement
) -> tuple[Arrangement, Arrangement]:
    a, b = (part if isinstance(part, Arrangement) else arrange(part) for part in (x, y))
    if len(a.left) != len(b.left):
        raise ValueError(
            f"the representations are of {len(a.left)} and {len(b.left)} examples; they must be of "
            "the same ones in the same order."
        )
    return a, b


def _plain_hsic(k: Floats, m: Floats) -> float:
    """Return the criterion up to a factor; the Gram matrices are those of centred features."""
    return float((k * m).sum())


def _unbiased_hsic(k: Floats, m: Floats) -> float:
    n = len(k)
    k, m = (gram - np.diag(np.diag(gram)) for gram in (k, m))
    ends = k.sum() * m.sum() / ((n - 1) * (n - 2))
    middle = 2.0 / (n - 2) * float(k.sum(axis=0) @ m.sum(axis=0))
    return float(((k * m).sum() + ends - middle) / (n * (n - 3)))


def _leading(part: Arrangement, variance: float) -> Floats:
    """Return the axes that hold a share of the variance."""
    shares = np.cumsum(part.singular**2)
    if not len(shares):
        return part.left
    # A hair below: the sum of all shares may miss 1 by rounding.
    wanted = variance * shares[-1] * (1.0 - 1e-12)
    return part.left[:, : int(np.searchsorted(shares, wanted)) + 1]
