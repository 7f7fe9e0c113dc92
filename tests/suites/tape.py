"""`Tape`: imitates CUDA graphs on a CPU.

It captures every operation with its tensors, and replays the list on the same memory. It raises
where a CUDA graph can't be captured: when the host reads a value, or a shape depends on values.
Results that the host computes during the capture (numpy, Python) are frozen, as in a graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Result = TypeVar("Result")

_WAIT = {"_local_scalar_dense", "nonzero", "item", "masked_select", "_unique2", "is_nonzero"}
"""Operations that make the host wait for a value or a shape."""


class Tape:
    """A `seedlab.engines.packed.cuda_graphs.GraphCapturer` for CPUs."""

    stream = None

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0
        self._made: list[weakref.ref[_Log]] = []

    def reset(self) -> None:
        """See `GraphCapturer`."""
        self._made.clear()

    def warm_up(self, work: Callable[[], object]) -> None:
        """See `GraphCapturer`."""
        work()

    def capture(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `GraphCapturer`."""
        if self._made and all(made() is None for made in self._made):
            raise AssertionError("a pool of memory whose graphs are all gone can't be used again")
        log = _Log()
        self._made.append(weakref.ref(log))
        with log:
            result = work()
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            with torch.inference_mode():
                log.play()

        return result, replay


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
            raise AssertionError(f"a graph can't capture {func}")
        out = func(*args, **kwargs)
        self.entries.append((func, args, kwargs, out))
        return out

    def play(self) -> None:
        """Replay all operations; results are written to the memory of the first call."""
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
