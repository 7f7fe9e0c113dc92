"""The threads that compute stacks, and the memory that each of them works in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.parametrizations import Parametrization

Job = TypeVar("Job")


Result = TypeVar("Result")


class ThreadPool:
    """A pool of threads for stacks; a context manager.

    While it is open, torch uses one thread per operation in this process. Closed, by an error or
    not, it holds no memory of stacks.

    Parameters
    ----------
    size : int
        At least 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._own = threading.local()
        self._make: Callable[[], WorkBuffers] | None = None

    def __enter__(self) -> ThreadPool:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.size, "seedlab", self._prepare)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        history: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)
        self.release()

    def equip(self, make: Callable[[], WorkBuffers]) -> None:
        """Say how a thread gets its memory; what it had before is forgotten."""
        self.release()
        self._make = make

    def release(self) -> None:
        """Forget the memory of all threads; `equip` comes before the next job."""
        self._own = threading.local()
        # What makes memory refers to the weights of the stacks that it is for.
        self._make = None

    def map(self, work: Callable[[Job, WorkBuffers], Result], jobs: Sequence[Job]) -> list[Result]:
        """Do all jobs and return their results in order."""
        return list(self._pool.map(lambda job: self._do(work, job), jobs))

    def _do(self, work: Callable[[Job, WorkBuffers], Result], job: Job) -> Result:
        with torch.inference_mode():
            if not hasattr(self._own, "memory"):
                assert self._make is not None  # `equip` comes first
                self._own.memory = self._make()
            return work(job, self._own.memory)

    @staticmethod
    def _prepare() -> None:
        torch.set_num_threads(1)
        # Moments of tokens that stay away shrink by a tenth per step; numbers below 1e-38
        # are worth nothing and cost a hundred cycles each. The setting is the thread's own.
        torch.set_flush_denormal(True)


class WorkBuffers:
    """A buffer of gradients and the memory of a pass, used by one stack at a time."""

    def __init__(
        self,
        layout: FlatLayout,
        runs: int,
        like: torch.Tensor,
        product_dtype: torch.dtype,
        parametrization: Parametrization | None = None,
    ) -> None:
        self.flat = like.new_zeros(runs, layout.size)
        self.layout = layout
        self.parametrization = parametrization
        self._weights = self._weight_grads = like.new_empty(0)
        if parametrization is not None:
            size = parametrization.layout.size
            self._weights = like.new_zeros(runs, size)
            self._weight_grads = like.new_zeros(runs, size if parametrization.apart else 0)
        self.work = Workspace(like.device, like.dtype, product_dtype)
        self._views: dict[int, dict[str, torch.Tensor]] = {}

    def views(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradients of a stack of so many runs, by name."""
        if runs not in self._views:
            self._views[runs] = self.layout.views(plain(self.flat[:runs]))
        return self._views[runs]

    def effective_weights(self, runs: int) -> dict[str, torch.Tensor]:
        """Return where the effective weights of a stack of so many runs are computed."""
        assert self.parametrization is not None  # asked only where there are such
        return self.parametrization.layout.views(plain(self._weights[:runs]))

    def effective_grads(self, runs: int) -> dict[str, torch.Tensor]:
        """Return where their gradients go; empty where they go where what is trained has its."""
        if self.parametrization is None or not self.parametrization.apart:
            return {}
        return self.parametrization.layout.views(plain(self._weight_grads[:runs]))


def plain(flat: torch.Tensor) -> torch.Tensor:
    """Return a (run, size) buffer without its run axis if there is but one run."""
    return flat[0] if flat.shape[0] == 1 else flat
