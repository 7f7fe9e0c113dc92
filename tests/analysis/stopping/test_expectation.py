"""Exact early-stopping values: enumeration of subsets and ties, limits, properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.best_of_n.expected_max import expected_max
from analysis.stopping.expectation import stopping_expectation, stopping_surface
from tests.suites.brute_force import mean_of, random_pool, stopping_outcomes

quick = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def pools(draw):
    """Best-so-far curves of 2 to 12 runs at 3 evaluations, often with ties."""
    size = draw(st.integers(2, 12))
    values = draw(
        st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=size, max_size=size)
    )
    return np.maximum.accumulate(np.array(values, dtype=float), axis=1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_surface_equals_enumeration(size, ties):
    for repeat in range(3):
        curves = random_pool(np.random.default_rng([size, ties, repeat]), size, 2, ties=ties)
        counts = np.arange(size + 1)
        surface = stopping_surface(curves, counts[1:], counts)
        reach = stopping_surface(curves, counts[1:], counts, target=1.0)
        for t in range(1, size + 1):
            for p in range(t + 1):
                law = stopping_outcomes(curves[:, 0], curves[:, 1], t, p)
                above = sum(chance for value, chance in law.items() if value >= 1.0)
                assert surface[0, t - 1, p] == pytest.approx(mean_of(law), abs=1e-12)
                assert reach[0, t - 1, p] == pytest.approx(above, abs=1e-12)
            assert np.isnan(surface[:, t - 1, t + 1 :]).all()


@pytest.mark.parametrize("ties", [False, True])
def test_surface_equals_enumeration_of_seven_runs(ties):
    curves = random_pool(np.random.default_rng([7, ties]), 7, 2, ties=ties)
    surface = stopping_surface(curves, [4, 7], [1, 3])
    for k, t in enumerate([4, 7]):
        for j, p in enumerate([1, 3]):
            law = stopping_outcomes(curves[:, 0], curves[:, 1], t, p)
            assert surface[0, k, j] == pytest.approx(mean_of(law), abs=1e-12)


@quick
@given(pools())
def test_nothing_stopped_is_the_expected_best(curves):
    counts = np.arange(1, len(curves) + 1)
    surface = stopping_surface(curves, counts, counts)
    for f in range(3):
        np.testing.assert_allclose(np.diagonal(surface[f]), expected_max(curves[:, -1]), atol=1e-12)


@quick
@given(pools())
def test_stopping_at_the_end_or_continuing_none_needs_no_rank(curves):
    counts = np.arange(1, len(curves) + 1)
    surface = stopping_surface(curves, counts, np.arange(len(curves) + 1))
    for k, t in enumerate(counts):
        np.testing.assert_allclose(
            surface[-1, k, : t + 1], expected_max(curves[:, -1], t), atol=1e-12
        )
        for f in range(3):
            assert surface[f, k, 0] == pytest.approx(expected_max(curves[:, f], t), abs=1e-12)


@quick
@given(pools())
def test_continuing_more_never_hurts_and_never_beats_everything(curves):
    counts = np.arange(1, len(curves) + 1)
    surface = stopping_surface(curves, counts, np.arange(len(curves) + 1))
    for k, t in enumerate(counts):
        rows = surface[:, k, : t + 1]
        assert np.all(np.diff(rows, axis=1) >= -1e-12)
        assert np.all(rows <= expected_max(curves[:, -1], t) + 1e-12)
        assert np.all(rows >= curves.min() - 1e-12)


@quick
@given(pools(), st.floats(0.1, 10), st.floats(-5, 5))
def test_follows_shift_and_scale(curves, scale, shift):
    counts = np.arange(1, len(curves) + 1)
    np.testing.assert_allclose(
        stopping_surface(scale * curves + shift, counts, counts),
        scale * stopping_surface(curves, counts, counts) + shift,
        atol=1e-9,
    )


@quick
@given(pools())
def test_the_order_of_the_runs_does_not_matter(curves):
    counts = np.arange(1, len(curves) + 1)
    np.testing.assert_allclose(
        stopping_surface(curves[::-1], counts, counts),
        stopping_surface(curves, counts, counts),
        atol=1e-12,
    )


def test_expectation_of_general_keys_is_a_point_of_the_surface():
    curves = random_pool(np.random.default_rng(0), 9, 2, ties=True)
    point = stopping_expectation(curves[:, 0], curves[:, 0], curves[:, 1], 5, 2)
    assert point == pytest.approx(stopping_surface(curves, [5], [2])[0, 0, 0], abs=1e-13)


def test_ten_thousand_runs_do_not_overflow():
    rng = np.random.default_rng(1)
    raw = np.round(rng.normal(0.7, 0.05, (10_000, 2)) * 277) / 277
    curves = np.maximum.accumulate(raw, axis=1)
    surface = stopping_surface(curves, [50, 2000, 10_000], [1, 50, 200])
    value = surface[0][np.isfinite(surface[0])]
    assert value.size == 8
    assert np.all(value <= curves.max())
    assert np.all(value >= expected_max(curves[:, 0], 50) - 1e-9)
    # All runs drawn: the 200 best-ranked ones are continued, up to ties.
    assert surface[0, 2, 2] == pytest.approx(curves.max(), abs=0.02)


@pytest.mark.parametrize(
    ("curves", "started", "continued", "message"),
    [
        ([0.1, 0.2], [1], [0], r"shape \(2,\); allowed: finite numbers, one row per run"),
        ([[0.1, np.nan]], [1], [0], "allowed: finite numbers"),
        ([[0.1, 0.2], [0.3, 0.1]], [1], [0], r"falls along row 1.*maximum\.accumulate"),
        ([[0.1, 0.2]], [2], [0], "started holds 2; allowed: whole numbers from 1 to 1"),
        ([[0.1, 0.2]], [1], [-1], "continued holds -1; allowed: whole numbers from 0 to 1"),
        ([[0.1, 0.2]], [1.5], [0], r"started holds 1\.5"),
    ],
)
def test_refusals(curves, started, continued, message):
    with pytest.raises(ValueError, match=message):
        stopping_surface(curves, started, continued)


def test_values_against_the_order_of_the_keys_are_refused():
    with pytest.raises(ValueError, match="stopped falls where keys rise"):
        stopping_expectation([1.0, 2.0], [1.0, 0.0], [1.0, 1.0], 2, 1)
    with pytest.raises(ValueError, match="continued holds 2; allowed: whole numbers from 0 to 1"):
        stopping_expectation([1.0, 2.0], [0.0, 1.0], [1.0, 1.0], 2, 2)
