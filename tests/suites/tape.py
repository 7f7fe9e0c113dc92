"""`Tape`: what a CUDA graph does, on a CPU.

It writes down every operation with the very tensors it was given, and repeats the list: same
operations, same memory, the numbers of that time. What a graph could not record is refused: a value
that the host asks for, and shapes that depend on values. What the host computed while recording
(numpy, Python) is frozen, as it is in a graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Result = TypeVar("Result")

_WAIT = {"_local_scalar_dense", "nonzero", "item", "masked_select", "_unique2", "is_nonzero"}
"""Operations whose result, or its shape, the host has to wait for."""


class Tape:
    """A `seedlab.engines.packed.cuda_graphs.GraphCapturer` for CPUs."""

    stream = None

    def __init__(self) -> None:
        self.recorded = 0
        self.repeated = 0
        self._made: list[weakref.ref[_Log]] = []

    def forget(self) -> None:
        """Take notice that all recordings are gone."""
        self._made.clear()

    def prepare(self, work: Callable[[], object]) -> None:
        """Do the work without recording."""
        work()

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """Return what `work` returns, and how to do it again."""
        if self._made and all(made() is None for made in self._made):
            raise AssertionError("a pool of memory whose graphs are all gone can't be used again")
        log = _Log()
        self._made.append(weakref.ref(log))
        with log:
            result = work()
        self.recorded += 1

        def again() -> None:
            self.repeated += 1
            with torch.inference_mode():
                log.play()

        return result, again


class _Log(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in _WAIT or (name == "_to_copy" and _moves(args, kwargs)):
            raise AssertionError(f"a graph can't record {func}")
        out = func(*args, **kwargs)
        self.entries.append((func, args, kwargs, out))
        return out

    def play(self) -> None:
        """Do all of it again; fresh results are written where they lay the first time."""
        for func, args, kwargs, out in self.entries:
            fresh = func(*args, **kwargs)
            for old, new in zip(_tensors(out), _tensors(fresh), strict=True):
                if old.data_ptr() != new.data_ptr():
                    assert old.shape == new.shape, (func, old.shape, new.shape)
                    old.copy_(new)


def _moves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    device = kwargs.get("device")
    return device is not None and torch.device(device) != args[0].device


def _tensors(out: Any) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        return [out]
    if isinstance(out, list | tuple):
        return [tensor for each in out for tensor in _tensors(each)]
    return []
