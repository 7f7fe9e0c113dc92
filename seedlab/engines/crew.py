"""`Crew`: threads that take whole stacks, each with memory of its own.

Inside a stack operations run on one thread: there is nothing to split that would not cost
more in waiting, and a result can't depend on how many threads there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

from seedlab.engines.scratch import Gradients

Job = TypeVar("Job")
Result = TypeVar("Result")


class Crew:
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
        self._make: Callable[[], Gradients] | None = None

    def __enter__(self) -> Crew:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.size, "seedlab", self._prepare)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)
        self.release()

    def equip(self, make: Callable[[], Gradients]) -> None:
        """Say how a thread gets its memory; what it had before is forgotten."""
        self.release()
        self._make = make

    def release(self) -> None:
        """Forget the memory of all threads; `equip` comes before the next job."""
        self._own = threading.local()
        # What makes memory refers to the weights of the stacks that it is for.
        self._make = None

    def map(self, work: Callable[[Job, Gradients], Result], jobs: Sequence[Job]) -> list[Result]:
        """Do all jobs and return their results in order."""
        return list(self._pool.map(lambda job: self._do(work, job), jobs))

    def _do(self, work: Callable[[Job, Gradients], Result], job: Job) -> Result:
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
