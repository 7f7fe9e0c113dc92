"""Kernels, bytes, products and memory of operations on a fake GPU."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

VIEWS = frozenset(
    [
        "view",
        "_unsafe_view",
        "expand",
        "select",
        "slice",
        "transpose",
        "t",
        "permute",
        "unsqueeze",
        "squeeze",
        "as_strided",
        "alias",
        "detach",
        "unbind",
        "split",
        "narrow",
        "_reshape_alias",
        "unfold",
        "diagonal",
        "split_with_sizes",
        "empty",
        "empty_like",
        "new_empty",
        "empty_strided",
        "lift_fresh",
        "_local_scalar_dense",
        "new_empty_strided",
    ]
)
"""Operations that start no kernel."""
PRODUCTS = frozenset(["mm", "bmm", "addmm", "baddbmm", "addmm_", "baddbmm_"])
_WRITES_ONLY = frozenset(["copy_", "zero_", "fill_", "index_add_"])
_OFFSET_LIMIT = 2**31 - 1
"""Largest offset in bytes within which torch computes an operation as one kernel."""
_ADAM_CHUNK = 65536 * 320
"""Elements of one kernel of the fused AdamW."""


@dataclass
class Totals:
    """Counts of some work.

    Attributes
    ----------
    kernels, bytes : Counter of str
        See `Accounts`.
    flops : float
    transient : int
        Bytes in use at most, above those in use before.
    """

    kernels: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    flops: float = 0.0
    transient: int = 0


@dataclass
class Accounts:
    """Counts of everything that ran on a fake GPU.

    Attributes
    ----------
    kernels : Counter of str
        Kernels by operation.
    bytes : Counter of str
        Bytes read and written by operation: tensors that are expanded are read once.
    flops : float
        Floating-point operations of matrix products.
    live, peak : int
        Bytes of device memory in use, now and at most.
    """

    kernels: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    flops: float = 0.0
    live: int = 0
    peak: int = 0
    _known: Any = field(default_factory=WeakIdKeyDictionary)

    def reset(self) -> None:
        """Forget all counts but the memory in use."""
        self.kernels.clear()
        self.bytes.clear()
        self.flops, self.peak = 0.0, self.live

    @contextmanager
    def measure(self) -> Iterator[Totals]:
        """Yield totals that the block's work is counted into, besides being counted here."""
        kernels, moved, flops, peak = self.kernels, self.bytes, self.flops, self.peak
        live, totals = self.live, Totals()
        self.kernels, self.bytes, self.flops, self.peak = totals.kernels, totals.bytes, 0.0, live
        try:
            yield totals
        finally:
            totals.flops, totals.transient = self.flops, self.peak - live
            self.kernels, self.bytes = kernels + totals.kernels, moved + totals.bytes
            self.flops, self.peak = flops + totals.flops, max(peak, self.peak)

    def add(self, totals: Totals) -> None:
        """Count work again whose totals are known."""
        self.kernels.update(totals.kernels)
        self.bytes.update(totals.bytes)
        self.flops += totals.flops
        self.peak = max(self.peak, self.live + totals.transient)

    def count(self, func: Any, ins: list[torch.Tensor], outs: list[torch.Tensor]) -> None:
        """Count an operation, given its device tensors."""
        for tensor in outs:
            self._hold(tensor)
        name = func.overloadpacket.__name__
        if name in VIEWS:
            return
        self.kernels[name] += _kernels(name, ins, outs)
        self.bytes[name] += _moved(func, name, ins, outs)
        if name in PRODUCTS:
            a, b = ins[1:3] if name.startswith(("addmm", "baddbmm")) else ins[:2]
            self.flops += 2.0 * a.numel() * b.shape[-1]

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.live -= size


def parts(tensor: torch.Tensor) -> int:
    """Return into how many kernels torch cuts an elementwise operation on a tensor.

    Offsets in bytes must fit into 31 bits. torch halves the axis of the largest stride until they do
    (``TensorIterator::with_32bit_indexing``).
    """
    size = tensor.element_size()
    steps = [(n, s * size) for n, s in zip(tensor.shape, tensor.stride(), strict=True)]
    reach = sum((n - 1) * s for n, s in steps)
    if reach <= _OFFSET_LIMIT:
        return 1
    longest, stride = max(steps, key=lambda step: (step[0] - 1) * step[1])
    rest = reach - (longest - 1) * stride
    fits = max(1, (_OFFSET_LIMIT - rest) // max(1, stride) + 1)
    waiting, found = [longest], 0
    while waiting:
        n = waiting.pop()
        if n <= fits:
            found += 1
        else:
            waiting += [n // 2, n - n // 2]
    return found


def _kernels(name: str, ins: list[torch.Tensor], outs: list[torch.Tensor]) -> int:
    if name in PRODUCTS:
        return 1
    if name == "_fused_adamw_":
        return -(-ins[0].numel() // _ADAM_CHUNK)
    if name == "index_add_":
        return 12  # with deterministic algorithms it sorts
    return max((parts(tensor) for tensor in (*ins, *outs)), default=1)


def _moved(func: Any, name: str, ins: list[torch.Tensor], outs: list[torch.Tensor]) -> int:
    if name in ("index_select", "index"):
        # What is read of the source is what is written.
        return sum(2 * _size(t) for t in outs[:1]) + sum(_size(t) for t in ins[1:2])
    if name == "index_fill_":
        return 2 * sum(_size(t) for t in ins[1:2])
    if name == "_fused_adamw_":
        return 7 * sum(_size(t) for t in ins[:1])
    distinct = {id(t): t for t in (*ins, *outs)}
    moved = sum(_size(t) for t in distinct.values())
    written = [
        a for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write
    ]
    only_out = any(a.name in ("out", "grad_input") for a in func._schema.arguments)
    if written and name not in _WRITES_ONLY and not only_out:
        moved += sum(_size(t) for t in outs[: len(written)])
    return moved


def _size(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor's elements; those of an expanded axis count once."""
    elements = 1
    for n, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= n if stride else 1
    return elements * tensor.element_size()
