"""How much memory a pack needs, how much there is, and the width that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from seedlab.errors import SeedlabError

_SHARE = 0.9
"""Share of the free memory that a pack may plan with; the rest is for what is not counted."""


class PackMemoryError(MemoryError):
    """A pack that ran out of memory while it was trained.

    It is no refusal: whoever runs packs may try again with the pack's halves.
    """


@dataclass(frozen=True)
class Shape:
    """What decides how much memory training takes.

    Parameters
    ----------
    size : int
        Parameters that are trained per run, trimmed embedding tables included.
    hidden, feed_forward, heads, layers : int
        Of the encoder.
    rows, longest : int
        Examples and tokens of the largest training batch: its longest example counts for all.
    evaluation_rows : int
        Examples per forward pass when scoring.
    itemsize : int
        Bytes per number.
    vectors : int
        Vectors of `size` numbers that a run keeps: weights, two moments, and an average.
    scratch : int
        Numbers of effective weights, and of their gradients, of a run that is computed.
    shared : int
        Bytes that the pack needs once, however wide it is.
    copy : int
        Bytes per number of a copy of the weights in lower precision; 0 without one.
    """

    size: int
    hidden: int
    feed_forward: int
    heads: int
    layers: int
    rows: int
    longest: int
    evaluation_rows: int
    itemsize: int
    vectors: int = 3
    scratch: int = 0
    shared: int = 0
    copy: int = 0

    @property
    def weights(self) -> int:
        """Bytes of a run's weights, their two moments, and their average or copy if any."""
        return self.size * (self.vectors * self.itemsize + self.copy)

    @property
    def gradients(self) -> int:
        """Bytes of a run's gradients, and of its effective weights where there are such."""
        return (self.size + self.scratch) * self.itemsize

    @property
    def activations(self) -> int:
        """Bytes of a run's largest pass, with the quarter that buffers have in reserve.

        Per token and layer a training pass keeps 9 hidden vectors (input, query, key, value,
        context, two sums, two norms), 2 of the feed-forward width, and per head two rows of
        the attention matrix. Once, it needs about 12 hidden vectors, 2 of the feed-forward
        width and 3 attention rows for what is on its way. Scoring keeps one layer's worth.
        """
        kept = 9 * self.hidden + 2 * self.feed_forward + 2 * self.heads * self.longest
        passing = 12 * self.hidden + 2 * self.feed_forward + 3 * self.heads * self.longest
        training = self.rows * self.longest * (self.layers * kept + passing)
        scoring = self.evaluation_rows * self.longest * (kept + passing)
        return max(training, scoring) * self.itemsize * 5 // 4


def needed(shape: Shape, width: int, at_once: int) -> int:
    """Return the bytes of a pack of `width` runs of which `at_once` are computed at a time."""
    of_a_pass = shape.gradients + shape.activations
    return shape.shared + width * shape.weights + min(width, at_once) * of_a_pass


def fitting_width(shape: Shape, free: int, at_once: int | None) -> int:
    """Return the widest pack that fits into `free` bytes; 0 if not even one run does.

    Parameters
    ----------
    shape : Shape
    free : int
        See `free_bytes`.
    at_once : int or None
        Runs that are computed at a time (threads of one-run stacks); None: all of them.
    """
    free = max(0, int(free * _SHARE) - shape.shared)
    per_run = shape.gradients + shape.activations
    if at_once is None:
        return free // (shape.weights + per_run)
    if free < shape.weights + per_run:
        return 0
    few = free // (shape.weights + per_run)
    return few if few < at_once else max(at_once, (free - at_once * per_run) // shape.weights)


def check_fits(shape: Shape, width: int, free: int, at_once: int | None) -> None:
    """Refuse a pack that can't fit.

    Raises
    ------
    SeedlabError
        Naming the width that would.
    """
    widest = fitting_width(shape, free, at_once)
    if width <= widest:
        return
    need = needed(shape, width, width if at_once is None else at_once)
    remedy = (
        f"at most {widest} fit: use engine.width={widest}"
        if widest
        else "not even one run fits: use a smaller model, recipe.batch_size or task.max_length"
    )
    raise SeedlabError(
        f"a pack of {width} runs needs {need / 2**30:.1f} GiB of memory, and of the "
        f"{free / 2**30:.1f} GiB that are free {_SHARE:.0%} may be planned with; {remedy}."
    )


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, limits of a container included."""
    if device.type == "cuda":
        # What torch holds without using it counts as taken there, and is ours.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    free = [_available()]
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        free.append(max(0, limit - used))
    return min(free)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out (torch's CPU allocator has no type for it)."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _available() -> int:
    """Return what the system calls available: free, or held by caches that give way."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: str) -> int | None:
    """Return the number in a file of the system; None where there is none or no limit."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
