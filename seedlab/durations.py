"""`duration`: formats a time in seconds for people."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Return a time as text: ``4.2 s``, ``3 min 20 s``, ``1 h 5 min``, ``2 d 3 h``.

    Parameters
    ----------
    seconds : float
        At least 0.
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = math.floor(seconds + 0.5)
    for unit, size, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
