"""Estimates of a pack's memory, the memory that is free, and the widest pack that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from seedlab.errors import SeedlabError

_SHARE = 0.9
"""Share of the free memory that a pack may use; the rest covers memory that the estimate leaves out."""


class PackMemoryError(MemoryError):
    """Raised when memory runs out during the training of a pack.

    The launcher may then train the two halves of the pack instead.
    """


@dataclass(frozen=True)
class Shape:
    """Sizes that decide how much memory training takes.

    Parameters
    ----------
    size : int
        Trained parameters per run, including trimmed embedding tables.
    hidden, feed_forward, heads, layers : int
        Widths, attention heads and layers of the encoder.
    rows, longest : int
        Examples of the largest training batch, and tokens of the longest example. Every example
        counts as the longest.
    evaluation_rows : int
        Examples per forward pass in evaluation.
    itemsize : int
        Bytes per element.
    vectors : int
        Vectors of `size` elements per run: weights, two moments, and an average if any. Weights
        that `evaluation.keep` best keeps lie in the memory of the host. On a CPU they are one more.
    scratch : int
        Elements of effective weights and their gradients, per computed run.
    shared : int
        Bytes that the pack needs once, whatever its width.
    copy_itemsize : int
        Bytes per element of a low-precision copy of the weights; 0 without a copy.
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
    copy_itemsize: int = 0

    @property
    def weights(self) -> int:
        """Bytes of a run's weights, their two moments, and their average or copies if any."""
        return self.size * (self.vectors * self.itemsize + self.copy_itemsize)

    @property
    def gradients(self) -> int:
        """Bytes of a run's gradients, and of its effective weights if any."""
        return (self.size + self.scratch) * self.itemsize

    @property
    def activations(self) -> int:
        """Bytes of a run's largest pass, including the buffers' reserve of a quarter.

        Per token and layer, a training pass keeps 9 hidden vectors: input, query, key, value,
        context, two sums, two norms. It also keeps 2 vectors of the feed-forward width, and 2
        rows of the attention matrix per head. Temporary results add about 12 hidden vectors, 2 of
        the feed-forward width and 3 attention rows, once. Evaluation keeps a single layer.
        """
        kept = 9 * self.hidden + 2 * self.feed_forward + 2 * self.heads * self.longest
        passing = 12 * self.hidden + 2 * self.feed_forward + 3 * self.heads * self.longest
        training = self.rows * self.longest * (self.layers * kept + passing)
        scoring = self.evaluation_rows * self.longest * (kept + passing)
        return max(training, scoring) * self.itemsize * 5 // 4


def needed(shape: Shape, width: int, at_once: int) -> int:
    """Return the bytes of a pack of `width` runs that computes `at_once` runs concurrently."""
    per_pass = shape.gradients + shape.activations
    return shape.shared + width * shape.weights + min(width, at_once) * per_pass


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
    free = max(0, int(free * _SHARE) - shape.shared)
    per_run = shape.gradients + shape.activations
    if at_once is None:
        return free // (shape.weights + per_run)
    if free < shape.weights + per_run:
        return 0
    few = free // (shape.weights + per_run)
    return few if few < at_once else max(at_once, (free - at_once * per_run) // shape.weights)


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
    """Return the free memory of a device in bytes; a container's limit counts."""
    if device.type == "cuda":
        # CUDA counts torch's unused reserve as taken, but this process can use it.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
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
