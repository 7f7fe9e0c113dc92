"""Products of float32 by oneDNN and by torch's own kernels, against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seedlab.engines.packed.encoder import matmul as products
from seedlab.engines.packed.encoder.matmul import affine, affine_backward, product
from seedlab.engines.packed.encoder.ops import Workspace, add_by_row

SIZES = [(3, 16, 5), (16, 128, 128), (64, 128, 128), (257, 128, 384), (130, 600, 70)]
"""(rows, inner, columns): below and above the size from which on oneDNN computes."""


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))


def work(dtype: torch.dtype = torch.float32) -> Workspace:
    return Workspace(torch.device("cpu"), dtype, dtype)


def assert_near(found: torch.Tensor, a: torch.Tensor, b: torch.Tensor, add: torch.Tensor) -> None:
    """Check errors: a sum of n products has at most (n + 1) roundings of the sum of their sizes."""
    exact = a.double() @ b.double() + add.double()
    sizes = a.double().abs() @ b.double().abs() + add.double().abs()
    bound = (a.shape[1] + 2) * torch.finfo(torch.float32).eps * sizes
    assert bool(((found.double() - exact).abs() <= bound).all())


@pytest.mark.parametrize(("rows", "inner", "columns"), SIZES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("always", [False, True], ids=["by size", "oneDNN"])
def test_products_are_right(
    rows: int, inner: int, columns: int, turned: bool, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written to a tensor, added, and written to a named buffer; row-major and column-major."""
    if always:
        monkeypatch.setattr(products, "_LARGE", 0)
    a, b = numbers(rows, inner), numbers(inner, columns, seed=1)
    if turned:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    bias, start = numbers(columns, seed=2), numbers(rows, columns, seed=3)
    zero, out = torch.zeros(()), torch.full((rows, columns), float("nan"))
    assert product(a, b, out, work()).data_ptr() == out.data_ptr()
    assert_near(out, a, b, zero)
    assert_near(product(a, b, "name", work()), a, b, zero)
    assert_near(product(a, b, start.clone(), work(), accumulate=True), a, b, start)
    assert affine(a, b.t(), bias, out, work()).data_ptr() == out.data_ptr()
    assert_near(out, a, b, bias)
    assert_near(affine(a, b.t(), bias, "name", work()), a, b, bias)
    weight, sums = torch.zeros(columns, inner), torch.zeros(columns)
    for _ in range(2):
        affine_backward(start, a, weight, sums, work(), accumulate=True)
    assert_near(weight / 2, start.t(), a, zero)
    torch.testing.assert_close(sums / 2, start.sum(0))


def test_a_strided_output_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows of a larger buffer change, and the others do not."""
    a, b = numbers(70, 128), numbers(128, 130, seed=1)
    around = torch.full((71, 140), 7.0)
    product(a, b, around[:70, 5:135], work())
    assert_near(around[:70, 5:135], a, b, torch.zeros(()))
    assert bool((around[70] == 7.0).all() and (around[:, :5] == 7.0).all())


def test_the_bits_do_not_depend_on_memory_addresses() -> None:
    """L0 requires it: every process gets other addresses."""
    a, b = numbers(130, 128), numbers(128, 384, seed=1)
    first = product(a, b, "x", work())
    for offset in (1, 3, 8, 16):
        moved = torch.empty(a.numel() + 16)[offset : offset + a.numel()].view(a.shape).copy_(a)
        assert torch.equal(product(moved, b, "x", work()), first)


def test_float64_is_left_to_torch() -> None:
    a, b = numbers(64, 128).double(), numbers(128, 200, seed=1).double()
    assert torch.equal(product(a, b, "x", work(torch.float64)), a @ b)


def test_what_all_runs_share_is_converted_once() -> None:
    """A frozen weight in bfloat16: a copy per run would be as large as the runs' own weights."""
    shared, own = numbers(4, 6), numbers(3, 5, 4, seed=1)
    frozen = shared.expand(3, 4, 6)
    converted = products._converted(frozen, torch.bfloat16)
    assert converted.untyped_storage().nbytes() == 4 * 6 * 2
    bfloat16 = Workspace(torch.device("cpu"), torch.float32, torch.bfloat16)
    expected = torch.bmm(own.bfloat16(), frozen.bfloat16())
    assert torch.equal(product(own, frozen, "out", bfloat16), expected)


def test_the_gradient_of_a_small_table_by_rows() -> None:
    """On a GPU the rows are summed in the place of ``index_add_``."""
    grad, index = numbers(2, 40, 6).double(), torch.from_numpy(np.arange(40) % 7 // 5)
    summed, added = torch.zeros(2, 2, 6).double(), torch.zeros(2, 2, 6).double()
    add_by_row(grad, index, summed)
    added.index_add_(-2, index, grad)
    assert torch.allclose(summed, added, rtol=0, atol=40 * 2e-16 * float(grad.abs().max()))
