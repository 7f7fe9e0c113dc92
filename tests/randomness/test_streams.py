"""Random number streams: every promise in the docstrings of `seedlab.randomness.streams`."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import (
    STREAMS,
    inverse_normal_cdf,
    key,
    normal,
    permutation,
    philox_key,
    raw_bits,
)

SEEDS = st.integers(0, 2**40)


def test_key_is_a_hash_of_stream_and_seed_alone() -> None:
    digest = hashlib.sha256(b"order/7").digest()
    assert key("order", 7) == int.from_bytes(digest[:16], "little")
    low = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")
    assert philox_key("order", 7) == low


def test_streams_and_seeds_have_different_keys() -> None:
    keys = {key(stream, seed) for stream in STREAMS for seed in range(100)}
    assert len(keys) == 100 * len(STREAMS)


def test_unknown_stream_is_refused() -> None:
    with pytest.raises(SeedlabError, match=r"'ordr' does not exist.*Did you mean 'order'\?"):
        key("ordr", 0)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(SeedlabError, match=r"seed\.init must be at least 0, got -1"):
        key("init", -1)


def test_the_oracle_matches_a_published_known_answer() -> None:
    """Philox4x64-10 of counter 0 and key 0, from the known answers of the Random123 library."""
    words = _philox4x64((0, 0, 0, 0), (0, 0))
    assert words[0] == 0x16554D9ECA36314C


def test_raw_bits_are_the_blocks_of_their_key_and_counter() -> None:
    got = raw_bits("order", 3, high=5, n=6)
    k = key("order", 3)
    words = [
        word for low in (1, 2) for word in _philox4x64((low, 0, 5, 0), (k & (2**64 - 1), k >> 64))
    ]
    assert got.tolist() == words[:6]


@given(SEEDS, st.integers(0, 50), st.integers(1, 300))
def test_permutation_is_the_stable_argsort_of_the_raw_bits(seed: int, epoch: int, n: int) -> None:
    order = permutation(seed, epoch, n)
    assert sorted(order) == list(range(n))
    bits = raw_bits("order", seed, (epoch << 64) | n, n)
    assert order.tolist() == sorted(range(n), key=lambda i: (int(bits[i]), i))


def test_permutation_depends_on_seed_epoch_and_n() -> None:
    orders = [permutation(s, e, 50).tolist() for s in range(5) for e in range(5)]
    assert len({tuple(order) for order in orders}) == 25
    assert permutation(0, 0, 51).tolist()[:50] != orders[0]


def test_normal_depends_on_name_seed_and_shape_alone() -> None:
    first = normal(4, "classifier.weight", (2, 8))
    assert np.array_equal(first, normal(4, "classifier.weight", (2, 8)))
    assert not np.array_equal(first, normal(5, "classifier.weight", (2, 8)))
    assert not np.array_equal(first, normal(4, "pooler.weight", (2, 8)))


def test_normal_is_the_inverse_normal_cdf_of_the_raw_bits() -> None:
    high = int.from_bytes(hashlib.sha256(b"w").digest()[:16], "little")
    bits = raw_bits("init", 9, high, 1000)
    uniform = (np.array([int(b) >> 12 for b in bits]) + 0.5) / 2**52
    np.testing.assert_allclose(normal(9, "w", (1000,)), ndtri(uniform), rtol=1e-14)


@pytest.mark.stat
def test_normal_draws_are_normal() -> None:
    """Fixed seeds; a right implementation fails with probability 1e-4 when they are changed."""
    draws = np.concatenate([normal(seed, "w", (5000,)) for seed in range(4)])
    assert kstest(draws, "norm").pvalue > 1e-4


@given(st.floats(1e-300, 1 - 1e-16))
def test_inverse_normal_cdf_equals_scipy(p: float) -> None:
    """Both claim about 1e-16 relative; a few roundings apart."""
    np.testing.assert_allclose(inverse_normal_cdf(np.array([p])), ndtri(p), rtol=5e-15, atol=1e-16)


def test_golden_values() -> None:
    """Pinned so that no version, machine or refactoring changes what a seed means."""
    assert permutation(3, 0, 10).tolist() == [0, 6, 9, 3, 7, 1, 2, 4, 8, 5]
    drawn = normal(0, "classifier.weight", (3,)).astype(np.float32)
    assert [float(x).hex() for x in drawn] == [
        "-0x1.09a0660000000p+0",
        "-0x1.ab9cd00000000p-1",
        "-0x1.69c7ee0000000p+0",
    ]
    # In float64 as well, tails included: numpy's own logarithm depends on the instruction set.
    bits = normal(0, "w", (4096,)).astype("<f8").tobytes()
    assert hashlib.sha256(bits).hexdigest()[:16] == "c4ce5af660ca80dc"


def _philox4x64(counter: tuple[int, ...], keys: tuple[int, int]) -> list[int]:
    """Return a block of Philox4x64-10, written out with Python's integers."""
    c, (k0, k1), full = list(counter), keys, 2**64 - 1
    for _ in range(10):
        p0, p1 = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
        c = [(p1 >> 64) ^ c[1] ^ k0, p1 & full, (p0 >> 64) ^ c[3] ^ k1, p0 & full]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & full, (k1 + 0xBB67AE8584CAA73B) & full
    return c
