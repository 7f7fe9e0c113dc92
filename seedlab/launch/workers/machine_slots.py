"""Slots of this machine: its GPUs, or shares of its CPU cores."""

from __future__ import annotations

import os
from collections.abc import Sequence

from seedlab.errors import SeedlabError
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.workers.gpu_names import GpuNames, there_are

DEFAULTS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""Variables of a worker where the user has set none. CUDA counts the fastest GPU first, the driver
counts along the bus; a number must mean one GPU."""

# Read by OpenMP, MKL and OpenBLAS when a process starts, so they can't be set later.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def environment(slot: Slot) -> dict[str, str]:
    """Return the variables that have to be set before the interpreter of a slot's worker starts."""
    variables = dict.fromkeys(_THREAD_VARIABLES, str(slot.threads))
    return {**variables, "CUDA_VISIBLE_DEVICES": slot.gpu or ""}


def make_slots(
    *,
    slots: int | None,
    gpus: Sequence[int | str] | None,
    threads: int | None,
    device: str,
    names: GpuNames,
    cores: int,
    workers_per_gpu: int = 1,
) -> list[Slot]:
    """Return the slots that the launcher's settings ask for.

    Parameters
    ----------
    slots : int or None
        Number of slots; None: `workers_per_gpu` per GPU, without GPUs as many as the cores allow.
    gpus : sequence of int or str, or None
        GPUs to use; None: all visible ones; empty: none.
    threads : int or None
        CPU threads per slot; None: the cores divided by the slots (one thread each when
        `slots` is None too).
    device : str
        ``auto``, ``cpu`` (no GPU is used) or ``cuda`` (there must be one).
    names : GpuNames
        The GPUs of this machine that this process may use.
    cores : int
        The CPU cores that this process may use.
    workers_per_gpu : int
        Workers that share a GPU, at least 1. Every GPU gets a worker before one gets a second.

    Returns
    -------
    list of Slot
        At least one.

    Raises
    ------
    SeedlabError
        When this machine lacks the GPUs, or a setting is out of range.
    """
    if slots is not None and slots < 1:
        raise SeedlabError(
            f"hydra.launcher.slots is {slots}, but at least 1 worker is needed; set 1 or more, "
            "or null for one per GPU (without GPUs: as many as the CPU cores allow)."
        )
    if threads is not None and threads < 1:
        raise SeedlabError(f"threads per worker must be at least 1, got {threads}; set 1 or more.")
    used = [] if device == "cpu" else names.chosen(gpus)
    if device == "cuda" and not used:
        raise SeedlabError(
            f"engine.device is cuda, but {there_are(names.visible)} and hydra.launcher.gpus is "
            f"{None if gpus is None else list(gpus)}; set engine.device=cpu, or make a GPU "
            "visible (CUDA_VISIBLE_DEVICES, hydra.launcher.gpus)."
        )
    places = [(gpu, worker) for worker in range(workers_per_gpu) for gpu in used]
    if used and slots is not None and slots > len(places):
        each_gpu = "1 worker" if workers_per_gpu == 1 else f"{workers_per_gpu} workers"
        raise SeedlabError(
            f"hydra.launcher.slots is {slots}, but {there_are(used, 'to use')} with {each_gpu} "
            f"each (engine.workers_per_gpu); set hydra.launcher.slots={len(places)}, or "
            f"engine.workers_per_gpu={-(-slots // len(used))} where packs are small, or "
            "hydra.launcher.gpus=[] for the CPU."
        )
    if used:
        places = places[:slots]
        each = threads or max(1, cores // len(places))
        return [
            Slot(index, each, gpu, worker if workers_per_gpu > 1 else None)
            for index, (gpu, worker) in enumerate(places)
        ]
    count = slots or max(1, cores // (threads or 1))
    each = threads or max(1, cores // count)
    return [Slot(index, each) for index in range(count)]


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
