"""Slots of this machine: its GPUs, or shares of its CPU cores."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from seedlab.errors import SeedlabError
from seedlab.launch.jobs.slots import Slot

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
    visible: Sequence[str],
    cores: int,
) -> list[Slot]:
    """Return the slots that the launcher's settings ask for.

    Parameters
    ----------
    slots : int or None
        Number of slots; None: one per GPU, without GPUs as many as the cores allow.
    gpus : sequence of int or str, or None
        GPUs to use; None: all visible ones; empty: none.
    threads : int or None
        CPU threads per slot; None: the cores divided by the slots (one thread each when
        `slots` is None too).
    device : str
        ``auto``, ``cpu`` (no GPU is used) or ``cuda`` (there must be one).
    visible : sequence of str
        The GPUs of this machine that this process may use.
    cores : int
        The CPU cores that this process may use.

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
    used = [] if device == "cpu" else _chosen(gpus, visible)
    if device == "cuda" and not used:
        raise SeedlabError(
            f"engine.device is cuda, but {_there_are(visible)} and hydra.launcher.gpus is "
            f"{None if gpus is None else list(gpus)}; set engine.device=cpu, or make a GPU "
            "visible (CUDA_VISIBLE_DEVICES, hydra.launcher.gpus)."
        )
    if used and slots is not None and slots > len(used):
        raise SeedlabError(
            f"hydra.launcher.slots is {slots}, but {_there_are(used, 'to use')} and every slot "
            f"needs one of its own; set hydra.launcher.slots={len(used)} and a wider pack "
            "(engine.width) to use a GPU better, or hydra.launcher.gpus=[] for the CPU."
        )
    if used:
        used = used[:slots]
        each = threads or max(1, cores // len(used))
        return [Slot(index, each, gpu) for index, gpu in enumerate(used)]
    count = slots or max(1, cores // (threads or 1))
    each = threads or max(1, cores // count)
    return [Slot(index, each) for index in range(count)]


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that this process may use, without importing torch.

    ``CUDA_VISIBLE_DEVICES`` decides when it is set (as CUDA reads it: entries after a
    negative number are ignored); otherwise the driver's own tool is asked.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        names = [name.strip() for name in listed.split(",")]
        ends = (at for at, name in enumerate(names) if not name or name.startswith("-"))
        return names[: next(ends, len(names))]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    lines = answer.stdout.split() if answer.returncode == 0 else []
    return [line for line in lines if line.isdigit()]


def _chosen(gpus: Sequence[int | str] | None, visible: Sequence[str]) -> list[str]:
    if gpus is None:
        return list(visible)
    asked = [str(gpu) for gpu in gpus]
    missing = [gpu for gpu in asked if gpu not in visible]
    if missing or len(set(asked)) < len(asked):
        problem = f"{', '.join(missing)} not there" if missing else "one is named twice"
        raise SeedlabError(
            f"hydra.launcher.gpus is [{', '.join(asked)}]: {problem}; {_there_are(visible)}"
            f"{': ' + ', '.join(visible) if visible else ''}. Name each GPU once, or set "
            "hydra.launcher.gpus=null for all of them."
        )
    return asked


def _there_are(gpus: Sequence[str], use: str = "visible") -> str:
    if not gpus:
        return f"there is no GPU {use}"
    return f"there is 1 GPU {use}" if len(gpus) == 1 else f"there are {len(gpus)} GPUs {use}"
