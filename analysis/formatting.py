"""Numbers as text: as many digits as the spread of the scores supports."""

from __future__ import annotations

import math

from analysis.rounding import ROUNDING

# From here on, decimals are left out.
LARGE = 1e9
# The smallest p-value of 9,999 random shuffles. Larger floors belong to exact tests.
SHUFFLED = 1e-4


def digits_for(sd: float) -> int:
    """Decimals that show a hundredth of a standard deviation, between 0 and 6."""
    if not (math.isfinite(sd) and sd > 0):
        return 3
    return min(max(1 - math.floor(math.log10(sd)), 0), 6)


def digits_apart(one: float, other: float, digits: int) -> int:
    """At least `digits` decimals, and as many as show the difference of two numbers.

    Differences below 1e-12 times the larger number are rounding, and need no decimals.
    """
    if not (math.isfinite(one) and math.isfinite(other)):
        return digits
    gap = abs(one - other)
    if gap <= ROUNDING * max(abs(one), abs(other)):
        return digits
    return max(digits, math.ceil(-math.log10(gap)))


def number(value: float, digits: int) -> str:
    """A number with a fixed count of decimals, or "unknown"; never "-0.00".

    Numbers from 1e9 on are written with four digits and a power of ten.
    """
    if not math.isfinite(value):
        return "unknown"
    if abs(value) >= LARGE:
        return f"{value:.4g}"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def difference(point: float, lower: float, upper: float) -> str:
    """A difference with its sign and its interval, at least four decimals, or "unknown"."""
    if not math.isfinite(point):
        return "unknown"
    d = digits_apart(0.0, point, 4)
    sign = "+" if point > 0 and float(number(point, d)) else ""
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return f"{sign}{number(point, d)}"
    return f"{sign}{number(point, d)} [{number(lower, d)}, {number(upper, d)}]"


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


def too_small_to_tell(floor: float, alpha: float = 0.05) -> bool:
    """Whether no scores at all could give a p-value of `alpha`; `floor` is the smallest one."""
    return math.isfinite(floor) and floor > alpha


def permutation_text(p: float, floor: float) -> str:
    """The result of a permutation test whose smallest possible p-value is `floor`."""
    if too_small_to_tell(floor):
        return f"too few seeds for a permutation test, which can't give less than p = {floor:.2g}"
    # An exact p-value may be the smallest possible one; only random shuffles give a bound.
    return f"permutation test {p_value(p, min(floor, SHUFFLED))}"


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
