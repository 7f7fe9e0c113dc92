"""`GpuMonitor`: the use of a launch's GPUs for its display, asked for every few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from seedlab.gpu_use import GpuUse, find_use, gpu_uses
from seedlab.launch.jobs.slots import Slot

_SECONDS = 2.0
"""Time between two questions; the driver averages over about a second."""


class GpuMonitor:
    """Knows the use of the GPUs of slots; of slots without a GPU it asks nothing.

    Parameters
    ----------
    clock : callable
        Monotonic time in seconds.
    ask : callable
        Returns the use of all GPUs.
    """

    def __init__(
        self, clock: Callable[[], float], ask: Callable[[], Sequence[GpuUse]] = gpu_uses
    ) -> None:
        self._clock, self._ask = clock, ask
        self._asked = float("-inf")
        self._uses: Sequence[GpuUse] = ()

    def text(self, slot: Slot) -> str:
        """Return the use of a slot's GPU, as ``97 % busy, 61.2 of 139.8 GiB``; empty if unknown."""
        if slot.gpu is None:
            return ""
        if self._clock() - self._asked >= _SECONDS:
            self._asked, self._uses = self._clock(), self._ask()
        use = find_use(self._uses, slot.gpu)
        return "" if use is None else str(use)

    def line(self, slots: Iterable[Slot]) -> str:
        """Return one line on the GPUs of slots, each once; empty if nothing is known."""
        of_gpus = {slot.gpu: slot for slot in slots if slot.gpu is not None}
        texts = ((slot.gpu_label, self.text(slot)) for slot in of_gpus.values())
        return " | ".join(f"{label} {text}" for label, text in texts if text)
