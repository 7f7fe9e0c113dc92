"""Numbers as text: as many digits as the spread of the scores supports."""

from __future__ import annotations

import math


def digits_for(sd: float) -> int:
    """Decimals that show a hundredth of a standard deviation, between 0 and 6."""
    if not (math.isfinite(sd) and sd > 0):
        return 3
    return min(max(1 - math.floor(math.log10(sd)), 0), 6)


def number(value: float, digits: int) -> str:
    """A number with a fixed count of decimals, or "unknown"."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "unknown"


def percent(share: float) -> str:
    """A share in per cent: whole from 10% on, else with one decimal; 100% means all."""
    if not math.isfinite(share):
        return "unknown"
    if 0.995 <= share < 1.0:
        return ">99%"
    value = 100 * share
    return f"{value:.0f}%" if value >= 9.95 or value == 0 else f"{value:.1f}%"


def p_value(p: float, floor: float = 0.0) -> str:
    """A p-value as "p = 0.031", or "p < ..." at the floor that the shuffles allow."""
    if not math.isfinite(p):
        return "p unknown"
    least = max(floor, 1e-6)
    if p <= least:
        return f"p ≤ {least:.1g}"
    return f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 run", "2,100 runs"."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def round_step(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most `value`.

    Used to ask round questions: "a mean known to 0.01" rather than to 0.0138.
    """
    if not (math.isfinite(value) and value > 0):
        return math.nan
    power = 10.0 ** math.floor(math.log10(value) + 1e-12)
    step = max(m for m in (1.0, 2.0, 5.0) if m * power <= value * (1 + 1e-12))
    return float(f"{step * power:.6g}")
