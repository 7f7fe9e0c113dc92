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
    worker : int or None
        Its number among the workers of the GPU, from 0; None: it has the GPU for itself.
    """

    index: int
    threads: int
    gpu: str | None = None
    worker: int | None = None

    @property
    def gpu_label(self) -> str:
        """The GPU's name in displays and messages; of a UUID it has the first eight digits."""
        gpu = self.gpu or ""
        short = gpu.startswith(("GPU-", "MIG-")) and not gpu.startswith("MIG-GPU-")
        return f"gpu {gpu[:12] if short else gpu}"

    @property
    def label(self) -> str:
        """The slot's name in displays and messages."""
        if self.gpu is None:
            return f"slot {self.index}"
        return self.gpu_label if self.worker is None else f"{self.gpu_label} worker {self.worker}"
