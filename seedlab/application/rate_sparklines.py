"""Learning-rate schedules as text: a line per group of depths, drawn over the updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BLOCKS = "▁▂▃▄▅▆▇█"
INDENT, WIDTH = 45, 35
"""Characters before a drawing and of it: 80 in all."""


def rate_lines(
    rates: npt.NDArray[np.float64],
    sizes: Sequence[int],
    warmup: int,
    averaging_start: int | None = None,
) -> list[str]:
    """Return the schedule of every depth as lines of at most 80 columns.

    Neighbouring depths with the same rates share a line. All drawings have one scale: the
    full block is the highest rate of all.

    Parameters
    ----------
    rates : (step, depth) array of float64
        See `seedlab.training.learning_rates.learning_rates`; one column holds for all depths.
    sizes : sequence of int
        Trainable numbers per depth; a depth without any is frozen. A single number stands for all
        depths.
    warmup : int
        Updates of the warm-up.
    averaging_start : int, optional
        Update from which on weights are averaged.
    """
    steps = len(rates)
    highest = float(rates.max(initial=0.0))
    lines = [f"rates    {'depth':<13} {'peak':>8} {'trainable':>11}  {steps:,} updates"]
    for first, last in _runs_of_equals(rates, sizes):
        size = sum(sizes[first : last + 1])
        column = rates[:, first if rates.shape[1] > 1 else 0]
        peak, drawn = f"{column.max(initial=0.0):.3g}", sparkline(column, highest)
        if size == 0:
            peak, drawn = "", "frozen"
        lines.append(
            f"         {_name(first, last, len(sizes)):<13} {peak:>8} {_short(size):>11}  {drawn}"
        )
    marks = {"w": (warmup, "warm-up ends")}
    if averaging_start is not None:
        marks["a"] = (averaging_start, "averaging begins")
    marks = {letter: mark for letter, mark in marks.items() if 0 < mark[0] < steps}
    if not marks:
        return lines
    ruler = [" "] * min(WIDTH, steps)
    for letter, (step, _) in marks.items():
        ruler[step * len(ruler) // steps] = letter
    legend = "; ".join(f"{k}: {event} at update {step:,}" for k, (step, event) in marks.items())
    return [*lines, " " * INDENT + "".join(ruler).rstrip(), f"         {legend}"]


def sparkline(values: npt.NDArray[np.float64], highest: float, width: int = WIDTH) -> str:
    """Return values as a row of blocks, each the highest of its part; at most `width` of them.

    Parameters
    ----------
    values : (step,) array
    highest : float
        The value of the full block; 0 and less are the lowest one.
    width : int
    """
    parts = np.array_split(values, min(width, max(len(values), 1)))
    tops = np.array([part.max(initial=0.0) for part in parts])
    shares = tops / highest if highest > 0.0 else tops
    levels = np.clip(np.round(shares * (len(BLOCKS) - 1)), 0, len(BLOCKS) - 1).astype(int)
    return "".join(BLOCKS[level] for level in levels)


def _runs_of_equals(rates: npt.NDArray[np.float64], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first, last) of neighbouring depths that have one schedule."""
    found: list[tuple[int, int]] = []
    for depth in range(len(sizes)):
        if found:
            first = found[-1][0]
            alike = rates.shape[1] == 1 or np.array_equal(rates[:, first], rates[:, depth])
            if alike and (sizes[first] == 0) == (sizes[depth] == 0):
                found[-1] = (first, depth)
                continue
        found.append((depth, depth))
    return found


def _name(first: int, last: int, n_depths: int) -> str:
    """Name depths: embeddings, layers, head."""
    head = n_depths - 1
    if (first, last) == (0, head):
        return "all"
    if first == last:
        return "embeddings" if first == 0 else "head" if first == head else f"layer {first}"
    if first == 0:
        return f"to layer {last}"
    return f"from layer {first}" if last == head else f"layers {first}-{last}"


def _short(size: int) -> str:
    return f"{size:,}" if size < 10**8 else f"{size / 1e6:,.1f}M"
