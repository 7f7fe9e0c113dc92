"""Mixout: its masks, and the weight that a linear map computes with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedlab.randomness.philox import philox4x32
from seedlab.randomness.streams import philox_key
from seedlab.training.techniques.mixout import keep_mask, mix

KEY = philox_key("mixout", 3)


def draws(
    n: int, p: float, granularity: str, shape: tuple[int, int] = (3, 6)
) -> list[torch.Tensor]:
    return [keep_mask(shape, p, granularity, 77, KEY, step) for step in range(n)]


def weights(seed: int = 0, shape: tuple[int, int] = (3, 6)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    w, w0 = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return w, w0


def test_mask_is_the_documented_function_of_its_counter() -> None:
    mask = keep_mask((3, 6), 0.3, "element", 77, KEY, 5)
    # Drawn by torch, as on a GPU.
    assert torch.equal(mask, keep_mask((3, 6), 0.3, "element", 77, KEY, torch.tensor(5)))
    assert mask.shape == (3, 6)
    for row in range(3):
        for feature in range(6):
            words = philox4x32(*(torch.tensor([c]) for c in (feature // 4, row, 77, 5)), KEY)
            assert bool(mask[row, feature]) == (int(words[feature % 4]) >= int(0.3 * 2**32))


def test_a_columns_draw_is_that_of_the_first_row() -> None:
    column = keep_mask((3, 6), 0.3, "column", 77, KEY, 5)
    assert column.shape == (1, 6)
    assert torch.equal(column, keep_mask((3, 6), 0.3, "element", 77, KEY, 5)[:1])


@pytest.mark.parametrize("change", ["step", "site", "seed"])
def test_mask_changes_with_every_part_of_its_counter(change: str) -> None:
    before = keep_mask((8, 64), 0.5, "element", 77, KEY, 5)
    after = keep_mask(
        (8, 64),
        0.5,
        "element",
        78 if change == "site" else 77,
        philox_key("mixout", 4) if change == "seed" else KEY,
        6 if change == "step" else 5,
    )
    assert not torch.equal(before, after)
    assert torch.equal(before, keep_mask((8, 64), 0.5, "element", 77, KEY, 5))


def test_masks_differ_from_those_of_dropout() -> None:
    """The stream is part of the key: dropout with the same seed, site and step is another draw."""
    other = keep_mask((8, 64), 0.5, "element", 77, philox_key("dropout", 3), 5)
    assert not torch.equal(other, keep_mask((8, 64), 0.5, "element", 77, KEY, 5))


@given(st.floats(0.01, 0.99), st.integers(1, 40), st.integers(1, 40))
def test_the_mixed_weight_is_the_formula(p: float, n_out: int, n_in: int) -> None:
    """((1 - M) w0 + M w - p w0) / (1 - p), to the rounding of float64."""
    w, w0 = weights(1, (n_out, n_in))
    for granularity in ("column", "element"):
        mask = keep_mask((n_out, n_in), p, granularity, 1, KEY, 0)
        m = np.broadcast_to(mask.numpy().astype(np.float64), (n_out, n_in))
        a, b = w.numpy(), w0.numpy()
        expected = ((1 - m) * b + m * a - p * b) / (1 - p)
        scale = (np.abs(a) + np.abs(b)).max() / (1 - p)
        np.testing.assert_allclose(mix(w, w0, mask, p).numpy(), expected, atol=1e-15 * scale)


@pytest.mark.parametrize("granularity", ["column", "element"])
def test_without_falling_back_nothing_changes(granularity: str) -> None:
    """p = 0: the weight itself, bit for bit."""
    w, w0 = weights()
    (mask,) = draws(1, 0.0, granularity)
    assert bool(mask.all())
    assert torch.equal(mix(w, w0, mask, 0.0), w)


@pytest.mark.parametrize("granularity", ["column", "element"])
def test_always_falling_back_is_the_start(granularity: str) -> None:
    """p = 1: the start, bit for bit, and no gradient (0, not an absent one)."""
    w, w0 = weights()
    w.requires_grad_()
    (mask,) = draws(1, 1.0, granularity)
    assert not bool(mask.any())
    mixed = mix(w, w0, mask, 1.0)
    assert torch.equal(mixed, w0)
    mixed.sum().backward()
    assert torch.equal(w.grad, torch.zeros_like(w))


@pytest.mark.parametrize("granularity", ["column", "element"])
def test_gradient_is_that_of_what_is_computed(granularity: str) -> None:
    """By finite differences, and M / (1 - p): the factor that the released backward lacks."""
    w, w0 = weights()
    w.requires_grad_()
    (mask,) = draws(1, 0.4, granularity)
    assert torch.autograd.gradcheck(lambda x: mix(x, w0, mask, 0.4), (w,))
    mix(w, w0, mask, 0.4).sum().backward()
    expected = mask.double().expand(3, 6) / (1 - 0.4)
    # One division in another order: a unit in the last place.
    torch.testing.assert_close(w.grad, expected, rtol=1e-15, atol=0.0)


@pytest.mark.stat
@pytest.mark.parametrize("granularity", ["column", "element"])
def test_the_expected_weight_is_the_weight(granularity: str) -> None:
    """4,000 masks: each of 18 means within 5 standard errors, but for 1 in 100,000 (18 x 6e-7)."""
    w, w0 = weights()
    p, n = 0.3, 4000
    mean = torch.stack([mix(w, w0, mask, p) for mask in draws(n, p, granularity)]).mean(0)
    # A mixed weight is w0 + (w - w0) M / (1 - p), and M has variance p (1 - p).
    error = (w - w0).abs() * (p / (1 - p) / n) ** 0.5
    assert bool(((mean - w).abs() < 5 * error).all())


@pytest.mark.stat
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_of_weights_that_fall_back(p: float) -> None:
    """250,000 draws: a right share lies within 5 standard errors but for 6 in 10 million."""
    mask = keep_mask((500, 500), p, "element", 1, KEY, 0)
    assert abs(float((~mask).double().mean()) - p) < 5 * (p * (1 - p) / 250_000) ** 0.5


def test_falling_back_to_zero_by_column_is_dropout_of_the_inputs() -> None:
    """With w0 = 0: W' x = W (M x / (1 - p)), up to the order of products."""
    w, _ = weights()
    (mask,) = draws(1, 0.4, "column")
    x = weights(2)[0]
    dropped = torch.where(mask, x / (1 - 0.4), 0.0)
    torch.testing.assert_close(
        x @ mix(w, torch.zeros_like(w), mask, 0.4).T, dropped @ w.T, rtol=1e-13, atol=1e-13
    )


def test_falling_back_to_zero_by_element_is_dropout_of_the_weights() -> None:
    """DropConnect: kept weights are scaled by 1 / (1 - p), the others 0."""
    w, _ = weights()
    (mask,) = draws(1, 0.4, "element")
    expected = torch.where(mask, w / (1 - 0.4), 0.0)
    assert torch.equal(mix(w, torch.zeros_like(w), mask, 0.4), expected)
