"""The axis of a swept number: linear, logarithmic, or one place per value."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

NULL = "null"
MOST_TICKS = 12
DECADE = 10.0


def is_log(values: npt.ArrayLike) -> bool:
    """Whether swept values need a logarithmic axis: they span a decade, or have one ratio.

    Parameters
    ----------
    values : 1D array of floats
        NaN is passed over.
    """
    known = np.unique(np.asarray(values, dtype=np.float64))
    known = known[~np.isnan(known)]
    if len(known) < 2 or known[0] <= 0:
        return False
    ratios = known[1:] / known[:-1]
    same = len(known) > 2 and bool(np.allclose(ratios, ratios[0], rtol=0.05))
    return bool(known[-1] / known[0] >= DECADE) or same


def value_name(value: float) -> str:
    """A swept value as text: ``2e-05``, ``0.1``, ``512``; NaN is null."""
    return NULL if math.isnan(value) else f"{value:g}"


class SweptAxis:
    """The axis of some swept values.

    Parameters
    ----------
    values : 1D array of floats
        NaN is null, and then each value has one place.
    """

    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        self.levels = sorted(set(values[~np.isnan(values)].tolist()))
        self.ordinal = bool(np.isnan(values).any())
        self.log = not self.ordinal and is_log(values)
        if self.ordinal:
            self.levels = [math.nan, *self.levels]
        low, high = (0.0, len(self.levels) - 1.0) if self.ordinal else self._ends()
        self.span = (high - low) or 1.0
        self.low, self.high = low, high

    def _ends(self) -> tuple[float, float]:
        ends = self.levels[0], self.levels[-1]
        return (math.log10(ends[0]), math.log10(ends[1])) if self.log else ends

    def places(
        self, values: pd.Series, shift: npt.NDArray[np.float64] | float = 0.0
    ) -> npt.NDArray[np.float64]:
        """Positions of values; `shift` is a share of the axis."""
        known = values.to_numpy(dtype=np.float64)
        if self.ordinal:
            place = {value_name(level): float(k) for k, level in enumerate(self.levels)}
            at = np.array([place[value_name(float(v))] for v in known])
        else:
            at = np.log10(known) if self.log else known
        moved: npt.NDArray[np.float64] = at + shift * self.span
        return moved

    def encoding(self, title: str) -> alt.X:
        """The horizontal axis, in powers of ten where it is logarithmic, with ticks at the values."""
        levels = pd.Series(self.levels)
        ticks = self.places(levels)
        if len(ticks) > MOST_TICKS:
            kept = np.unique(np.linspace(0, len(ticks) - 1, MOST_TICKS).round().astype(int))
            levels, ticks = levels.iloc[kept], ticks[kept]
        names = [value_name(float(v)) for v in levels]
        # Each label belongs to the nearest tick: a tick's number may differ by rounding.
        near = " : ".join(
            f"abs(datum.value - {tick:.9g}) < {1e-4 * self.span:.3g} ? '{name}'"
            for tick, name in zip(ticks, names, strict=True)
        )
        air = 0.06 * self.span
        return alt.X(
            "x:Q",
            title=title + (" (log scale)" if self.log else ""),
            scale=alt.Scale(domain=[self.low - air, self.high + air], nice=False, zero=False),
            axis=alt.Axis(
                values=[float(f"{tick:.9g}") for tick in ticks],
                labelExpr=f"{near} : ''",
                labelAngle=0,
                labelOverlap=True,
                grid=False,
            ),
        )
