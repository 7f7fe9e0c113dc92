"""The memory that is free, and the widest pack that fits into it."""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path

import torch

from seedlab.engines.packed.planning.shape import Shape
from seedlab.errors import SeedlabError

_SHARE = 0.9
"""Share of the free memory that a pack may use; the rest covers memory that the estimate leaves out."""


class PackMemoryError(MemoryError):
    """Raised when memory runs out during the training of a pack.

    The launcher may then train the two halves of the pack instead.
    """


def fitting_width(shape: Shape, free: int, at_once: int | None) -> int:
    """Return the widest pack that fits into `free` bytes; 0 if not even one run does.

    Parameters
    ----------
    shape : Shape
    free : int
        See `free_bytes`.
    at_once : int or None
        Runs that are computed concurrently; None: all of them.
    """
    budget = int(free * _SHARE)
    # Every run takes at least its weights, so no more fit than these alone would.
    widths = range(1, max(0, budget) // shape.weights + 1)
    return bisect_right(widths, budget, key=lambda width: shape.needed(width, at_once))


def check_fits(shape: Shape, width: int, free: int, at_once: int | None) -> None:
    """Check that a pack fits into memory; see `fitting_width` for the parameters.

    Raises
    ------
    SeedlabError
        When it does not fit; the message names the widest pack that does.
    """
    widest = fitting_width(shape, free, at_once)
    if width <= widest:
        return
    need = shape.needed(width, at_once)
    remedy = (
        f"at most {widest} fit: use engine.width={widest}"
        if widest
        else "not even one run fits: use a smaller model, recipe.batch_size or task.max_length"
    )
    raise SeedlabError(
        f"a pack of {width} runs needs {need / 2**30:.1f} GiB of memory, and of the "
        f"{free / 2**30:.1f} GiB that are free {_SHARE:.0%} may be planned with; {remedy}."
    )


def ran_out(width: int, error: BaseException) -> str:
    """Return the message of a `PackMemoryError`, with what torch said and a remedy.

    Parameters
    ----------
    width : int
        Runs of the pack.
    error : BaseException
        Error of the allocation.
    """
    # torch's advice on its allocator follows the first line or sentence.
    said = str(error).partition("\n")[0].partition(" If reserved but")[0].strip()
    if width > 1:
        remedy = f"use an engine.width below {width}"
    else:
        remedy = (
            "use a smaller task.max_length, a larger recipe.accumulation (smaller parts of a "
            "batch) or, on a shared GPU, fewer engine.workers_per_gpu"
        )
    runs = f"{width} runs" if width > 1 else "1 run"
    return f"a pack of {runs} ran out of memory ({said}); {remedy}."


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a device in bytes; limits of a container and of a share count."""
    if device.type == "cuda":
        allocated = torch.cuda.memory_allocated(device)
        # CUDA counts torch's unused reserve as taken, but this process can use it.
        unused = torch.cuda.memory_reserved(device) - allocated
        there, total = torch.cuda.mem_get_info(device)
        # A worker that shares the GPU gets no more than its share, whatever is free now.
        share = int(torch.cuda.get_per_process_memory_fraction(device) * total) - allocated
        return max(0, min(int(there) + unused, share))
    free = [_available()]
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        free.append(max(0, limit - used))
    return min(free)


def _available() -> int:
    """Return the system's available memory in bytes: free, or used by reclaimable caches."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: str) -> int | None:
    """Return the number in a system file; None if it does not exist or says "max"."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
