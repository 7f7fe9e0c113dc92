"""Random number streams: keys, permutations and normal draws.

Every draw is counter-based and keyed only by a hash of (stream name, seed). So it is the same
on every device, instruction set and library version. Draws use the raw bits of numpy's Philox
generator, because numpy keeps those stable and its distributions not. No global generator is
read or set.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from seedlab.errors import SeedlabError, nearest

STREAMS = ("init", "order", "dropout", "mixout", "mask", "augment", "subsample")


def key(stream: str, seed: int) -> int:
    """Return the 128-bit key of a stream.

    Parameters
    ----------
    stream : str
        One of `STREAMS`.
    seed : int
        Any integer of at least 0.

    Returns
    -------
    int
        In [0, 2**128): the first 16 bytes of SHA-256 of ``"stream/seed"``.

    Raises
    ------
    SeedlabError
        When the stream does not exist or the seed is negative.
    """
    if stream not in STREAMS:
        raise SeedlabError(
            f"random stream '{stream}' does not exist; the streams are {', '.join(STREAMS)}."
            f"{nearest(stream, STREAMS)}"
        )
    if seed < 0:
        raise SeedlabError(f"seed.{stream} must be at least 0, got {seed}; use 0, 1, 2, ...")
    digest = hashlib.sha256(f"{stream}/{seed}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


def raw_bits(stream: str, seed: int, high: int, n: int) -> npt.NDArray[np.uint64]:
    """Return `n` raw 64-bit words of a stream, from the block of counters `high`.

    Parameters
    ----------
    stream, seed
        See `key`.
    high : int
        In [0, 2**128): the upper half of the 256-bit counter. Blocks never overlap.
    n : int
        Number of words.

    Returns
    -------
    (n,) array of uint64
    """
    generator = np.random.Philox(counter=high << 128, key=key(stream, seed))
    return np.asarray(generator.random_raw(n), dtype=np.uint64)


def permutation(seed: int, epoch: int, n: int, stream: str = "order") -> npt.NDArray[np.int64]:
    """Return an epoch's order of `n` examples: the stable argsort of raw bits.

    Parameters
    ----------
    seed : int
        The order seed.
    epoch : int
        Counted from 0.
    n : int
        Number of examples.
    stream : str
        Stream to draw from; ``"subsample"`` for choosing training examples.

    Returns
    -------
    (n,) array of int64
        Depends only on (stream, seed, epoch, n).
    """
    return np.argsort(raw_bits(stream, seed, (epoch << 64) | n, n), kind="stable")


def normal(seed: int, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return standard normal draws for a new tensor, keyed by its parameter name.

    Parameters
    ----------
    seed : int
        The init seed.
    name : str
        The parameter's name; the same name, seed and shape give the same tensor.
    shape : tuple of int

    Returns
    -------
    array of float64, of `shape`
        Each value is the inverse normal CDF at the midpoint of one of 2**52 equal bins.
    """
    high = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    words = raw_bits("init", seed, high, int(np.prod(shape, dtype=np.int64)))
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return inverse_normal_cdf(uniform).reshape(shape)


def philox_key(stream: str, seed: int) -> tuple[int, int]:
    """Return the key of a stream for `seedlab.randomness.philox`: two words in [0, 2**32)."""
    bits = key(stream, seed)
    return bits & 0xFFFFFFFF, (bits >> 32) & 0xFFFFFFFF


def inverse_normal_cdf(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the quantiles of the standard normal distribution.

    The algorithm is Wichura's AS 241 (Applied Statistics 37, 1988, routine PPND16), accurate to
    about 1 part in 1e16. No library promises the same bits in its next version. This routine
    uses only sums, products, quotients and square roots, which IEEE 754 rounds the same way
    everywhere.

    Parameters
    ----------
    p : array of float64
        In (0, 1).

    Returns
    -------
    array of float64, of the shape of `p`
    """
    q = p - 0.5
    out = np.empty_like(q)
    centre = np.abs(q) <= 0.425
    r = 0.180625 - q[centre] ** 2
    out[centre] = q[centre] * _ratio(r, *_CENTRE)
    tail = ~centre
    root = np.sqrt(-_log(np.minimum(p[tail], 1.0 - p[tail])))
    value = np.where(root <= 5.0, _ratio(root - 1.6, *_NEAR), _ratio(root - 5.0, *_FAR))
    out[tail] = np.copysign(value, q[tail])
    return out


def _log(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the natural logarithm of positive numbers, to about 1e-16 relative below 1/2.

    numpy's logarithm differs in the last bits on machines with AVX-512. Here x = m 2^e with m in
    [sqrt(1/2), sqrt(2)), and log m = 2 artanh((m - 1) / (m + 1)). The series of artanh is
    truncated at f^22 < 2e-17.
    """
    m, e = np.frexp(x)
    low = m < 0.7071067811865476
    m, e = np.where(low, 2.0 * m, m), np.where(low, e - 1, e)
    f = (m - 1.0) / (m + 1.0)
    square = f * f
    series = np.zeros_like(f)
    for power in range(21, 1, -2):
        series = (series + 1.0 / power) * square
    # log 2 in two parts: the first has trailing zeros, so its product with e is exact.
    return e * _LOG2_HIGH + (e * _LOG2_LOW + (2.0 * f + 2.0 * f * series))


_LOG2_HIGH, _LOG2_LOW = 0.6931471803691238, 1.9082149292705877e-10


def _ratio(
    x: npt.NDArray[np.float64], top: tuple[float, ...], bottom: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Evaluate a ratio of polynomials, highest power first."""
    numerator, denominator = np.full_like(x, top[0]), np.full_like(x, bottom[0])
    for a, b in zip(top[1:], bottom[1:], strict=True):
        numerator = numerator * x + a
        denominator = denominator * x + b
    return numerator / denominator


# fmt: off
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_NEAR = (
    (7.7454501427834140764e-4, .0227238449892691845833, .24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, .0151986665636164571966,
     .14810397642748007459, .68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, .0012426609473880784386,
     .026532189526576123093, .29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, .0148753612908506148525, .13692988092273580531,
     .59983220655588793769, 1.0),
)
# fmt: on
