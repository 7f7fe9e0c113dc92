"""Use of this machine's GPUs, now: through NVIDIA's management library, where it is installed.

The library is the optional package nvidia-ml-py, whose module is pynvml. Without the package, a
driver or a GPU there is nothing to tell. A value that the library refuses is left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_GIB = 2**30


@dataclass(frozen=True)
class GpuUse:
    """Use of one GPU, or of one MIG instance.

    Parameters
    ----------
    index : str
        Number of the GPU in the order of the PCI bus. MIG instances have that of their GPU.
    uuid : str
        ``GPU-...``, or ``MIG-...`` for an instance.
    name : str
        Product name.
    busy : int or None
        Share of the last second or so in which a kernel ran, in percent. The library has none for MIG
        instances.
    used, total : int or None
        Memory in bytes, that of other processes included.
    processes : tuple of int
        Ids of the processes that compute there.
    """

    index: str
    uuid: str
    name: str
    busy: int | None = None
    used: int | None = None
    total: int | None = None
    processes: tuple[int, ...] = ()

    @property
    def is_instance(self) -> bool:
        """Whether it is a MIG instance."""
        return self.uuid.startswith("MIG-")

    def __str__(self) -> str:
        """Return the values that are known, as ``97 % busy, 61.2 of 139.8 GiB``."""
        parts = [] if self.busy is None else [f"{self.busy} % busy"]
        if self.used is not None and self.total is not None:
            parts.append(f"{self.used / _GIB:.1f} of {self.total / _GIB:.1f} GiB")
        return ", ".join(parts)


def gpu_uses() -> tuple[GpuUse, ...]:
    """Return the use of all GPUs of this machine, and of their MIG instances; empty if unknown."""
    try:
        nvml = importlib.import_module("pynvml")
        # Counted by the library: later calls cost nothing.
        nvml.nvmlInit()
        return tuple(_uses(nvml))
    except Exception:
        # A display must not end a training: no package, no driver, a lost GPU, another release.
        return ()


def find_use(uses: Sequence[GpuUse], name: str) -> GpuUse | None:
    """Return the use of a GPU by its name for CUDA: a number, or the beginning of a UUID."""
    for use in uses:
        if name == use.index and not use.is_instance:
            return use
        if not name.isdigit() and use.uuid.lower().startswith(name.lower()):
            return use
    return None


def _uses(nvml: Any) -> Iterator[GpuUse]:
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = _ask(nvml.nvmlDeviceGetHandleByIndex, index)
        if gpu is None:
            continue
        yield _use(nvml, str(index), gpu)
        for place in range(_ask(nvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
            instance = _ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, place)
            if instance is not None:
                yield _use(nvml, str(index), instance)


def _use(nvml: Any, index: str, handle: Any) -> GpuUse:
    rates = _ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    memory = _ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    processes = _ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
    return GpuUse(
        index,
        _text(_ask(nvml.nvmlDeviceGetUUID, handle)),
        _text(_ask(nvml.nvmlDeviceGetName, handle)),
        None if rates is None else int(rates.gpu),
        None if memory is None else int(memory.used),
        None if memory is None else int(memory.total),
        tuple(int(process.pid) for process in processes),
    )


def _ask(question: Callable[..., Any], *about: Any) -> Any:
    """Return the library's answer; None where it refuses, say for MIG instances."""
    try:
        return question(*about)
    except Exception:
        return None


def _text(value: Any) -> str:
    """Return a text of the library, which was bytes before release 12."""
    return value.decode() if isinstance(value, bytes) else str(value or "")
