"""`ThreadPool`: threads that compute stacks, each with its own reusable `WorkBuffers`."""

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

    While it is open, torch uses one thread per operation in this process. Once closed, also after
    an error, it keeps no buffers.

    Parameters
    ----------
    size : int
        Number of threads, at least 1.
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
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)
        self.release()

    def use_buffers(self, make: Callable[[], WorkBuffers]) -> None:
        """Release all buffers; from now on every thread makes its own by calling `make`."""
        self.release()
        self._make = make

    def release(self) -> None:
        """Release the buffers of all threads; call `use_buffers` before the next `map`."""
        self._own = threading.local()
        # The factory refers to the weights of stacks, which must be freed too.
        self._make = None

    def map(self, work: Callable[[Job, WorkBuffers], Result], jobs: Sequence[Job]) -> list[Result]:
        """Call `work` with every job and its thread's buffers; return the results in order."""
        return list(self._pool.map(lambda job: self._do(work, job), jobs))

    def _do(self, work: Callable[[Job, WorkBuffers], Result], job: Job) -> Result:
        with torch.inference_mode():
            if not hasattr(self._own, "memory"):
                assert self._make is not None  # `use_buffers` comes first
                self._own.memory = self._make()
            return work(job, self._own.memory)

    @staticmethod
    def _prepare() -> None:
        torch.set_num_threads(1)
        # Moments of tokens that do not occur shrink by a tenth per step. Denormal numbers (below
        # 1e-38) are negligible and cost a hundred cycles each. The setting is per thread.
        torch.set_flush_denormal(True)


class WorkBuffers:
    """Gradients and temporary memory for a forward and backward pass of one stack at a time.

    Parameters
    ----------
    layout : FlatLayout
        Layout of the trained parameters.
    runs : int
        Largest number of runs in a stack.
    like : tensor
        The buffers get its device and type.
    product_dtype : torch.dtype
        Type in which matrix products are computed.
    parametrization : Parametrization, optional
        Adds buffers for effective weights and their gradients.

    Attributes
    ----------
    flat : (run, size) tensor
        Gradients of the trained parameters.
    work : Workspace
    """

    def __init__(
        self,
        layout: FlatLayout,
        runs: int,
        like: torch.Tensor,
        product_dtype: torch.dtype,
        parametrization: Parametrization | None = None,
    ) -> None:
        self.flat = like.new_zeros(runs, layout.size)
        self._exempt = like.new_zeros(runs, layout.size - layout.decayed if runs > 1 else 0)
        self.layout = layout
        self.parametrization = parametrization
        self._weights = self._weight_grads = like.new_empty(0)
        if parametrization is not None:
            size = parametrization.layout.size
            self._weights = like.new_zeros(runs, size)
            self._weight_grads = like.new_zeros(runs, size if parametrization.separate_grads else 0)
        self.work = Workspace(like.device, like.dtype, product_dtype)
        self._views: dict[int, dict[str, torch.Tensor]] = {}

    def views(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradients of a stack of `runs` runs, by name; call `gather` when they are written."""
        if runs not in self._views:
            exempt = self._exempt[:runs] if runs > 1 else None
            flat = drop_single_run_axis(self.flat[:runs])
            self._views[runs] = self.layout.views(flat, exempt=exempt)
        return self._views[runs]

    def gather(self, runs: int) -> None:
        """Copy the gradients of biases and norms into `flat`.

        For several runs they are written elsewhere; see `Stack`.
        """
        if runs > 1:
            self.flat[:runs, self.layout.decayed :].copy_(self._exempt[:runs])

    def effective_weights(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the buffers of the effective weights of a stack of `runs` runs, by name."""
        assert self.parametrization is not None  # callers check
        return self.parametrization.layout.views(drop_single_run_axis(self._weights[:runs]))

    def effective_grads(self, runs: int) -> dict[str, torch.Tensor]:
        """Return the gradient buffers of the effective weights, by name.

        They are empty without a parametrization, or if it uses those of the trained parameters.
        """
        if self.parametrization is None or not self.parametrization.separate_grads:
            return {}
        return self.parametrization.layout.views(drop_single_run_axis(self._weight_grads[:runs]))


def drop_single_run_axis(flat: torch.Tensor) -> torch.Tensor:
    """Return a (run, ...) tensor; without its run axis if it has one run."""
    return flat[0] if flat.shape[0] == 1 else flat
