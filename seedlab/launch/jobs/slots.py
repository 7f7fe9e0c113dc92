"""`Slot`: a place where one worker runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A place for one worker.

    Parameters
    ----------
    index : int
        Its number among the slots of an executor, from 0.
    threads : int
        CPU threads of the worker.
    gpu : str or None
        The GPU as ``CUDA_VISIBLE_DEVICES`` names it; None: the worker sees no GPU.
    """

    index: int
    threads: int
    gpu: str | None = None

    @property
    def label(self) -> str:
        """The slot's name in displays and messages."""
        return f"slot {self.index}" if self.gpu is None else f"gpu {self.gpu}"
