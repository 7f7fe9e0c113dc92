"""Columns of frames as numbers and names: every refusal names the row and the column.

Rows are counted from 1, the first row of data (below the header of a CSV file).
This module does not depend on studies.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import TableError
from analysis.names import character_name, first_unprintable

MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "<na>"})
TRUE = frozenset({"true", "1", "1.0", "yes"})
FALSE = frozenset({"false", "0", "0.0", "no"})
# Larger integers wrap in 64 bits; from here on floats may be rounded integers.
LARGEST_INTEGER = 2**63 - 1
EXACT_FLOATS = 2**53
# A refused value is shown up to this many characters.
SHOWN = 60


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message; those after the first `most` are left out."""
    shown = [*names]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def require_columns(frame: pd.DataFrame, needed: Iterable[str], table: str) -> None:
    """Refuse a frame that lacks one of the `needed` columns, naming the nearest it has."""
    present = [str(c) for c in frame.columns]
    for column in needed:
        if column not in present:
            near = difflib.get_close_matches(column, present[:1000], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TableError(
                f"{table}: the column {column!r} is missing.{hint} It holds: {listed(present)}. "
                "Rename or add the column."
            )


def is_missing(values: pd.Series) -> npt.NDArray[np.bool_]:
    """Mask of missing values: null, NaN, or one of the usual texts for them (`MISSING`)."""
    gap = values.isna().to_numpy(dtype=bool)
    if values.dtype.kind not in "iufb":
        lowered = values.astype("str").str.strip().str.lower()
        gap = gap | lowered.isin(MISSING).to_numpy(dtype=bool)
    return gap


def numbers(
    frame: pd.DataFrame,
    column: str,
    table: str,
    *,
    missing_allowed: bool = True,
    infinite_allowed: bool = True,
) -> pd.Series:
    """A column as float64, missing values as NaN; infinities, if allowed, count as missing."""
    values = frame[column]
    gap = is_missing(values)
    parsed = _parsed(values.where(~gap, np.nan)).astype("float64")
    bad = parsed.isna().to_numpy(dtype=bool) & ~gap
    _refuse_first(bad, values, column, table, "not a number", "numbers such as 0.731")
    infinite = np.isinf(parsed.to_numpy())
    if not infinite_allowed:
        _refuse_first(infinite, values, column, table, "not finite", "finite numbers")
    parsed = parsed.where(~infinite, np.nan)
    if not missing_allowed:
        bad = parsed.isna().to_numpy(dtype=bool)
        _refuse_first(bad, values, column, table, "missing or not finite", "finite numbers")
    return parsed


def counted(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """A column of counts as float64: whole numbers from 1 on, missing values as NaN."""
    parsed = numbers(frame, column, table, infinite_allowed=False)
    bad = ((parsed < 1) | (parsed != np.floor(parsed))) & parsed.notna()
    _refuse_first(
        bad.to_numpy(dtype=bool),
        frame[column],
        column,
        table,
        "no number of examples",
        "whole numbers from 1 on",
    )
    return parsed


def integers(
    frame: pd.DataFrame,
    column: str,
    table: str,
    *,
    missing_allowed: bool = False,
    least: int | None = None,
) -> pd.Series:
    """A column as exact integers: int64, or Int64 where it may have gaps.

    Raises
    ------
    TableError
        A value is missing, no integer, below `least`, beyond 64 bits, or a float from
        2^53 on, which may be rounded.
    """
    values = frame[column]
    gap = is_missing(values)
    if not missing_allowed:
        _refuse_first(gap, values, column, table, "missing", "integers")
    if values.dtype.kind == "b":
        _refuse_first(~gap, values, column, table, "not an integer", "integers")
    # Integers that fit are parsed as integers: seeds above 2**53 are not exact as floats.
    parsed = _parsed(values[~gap])
    none, inexact = np.zeros(len(parsed), dtype=bool), np.zeros(len(parsed), dtype=bool)
    if parsed.dtype.kind == "f":
        none = ~(np.isfinite(parsed) & (parsed == np.floor(parsed))).to_numpy(dtype=bool)
        inexact = (parsed.abs() >= EXACT_FLOATS).to_numpy(dtype=bool)
    low = np.zeros(len(parsed), dtype=bool)
    if least is not None:
        low = (parsed < least).to_numpy(dtype=bool)
    large = inexact | (parsed > LARGEST_INTEGER).to_numpy(dtype=bool)
    bounds = (
        f"integers from {least if least is not None else -LARGEST_INTEGER} to {LARGEST_INTEGER}"
    )
    for found, what, allowed in (
        (none, "not an integer", "integers such as 0 or 42"),
        (low, f"below {least}", bounds),
        (large, "too large to be exact", bounds),
    ):
        bad = np.zeros(len(values), dtype=bool)
        bad[np.flatnonzero(~gap)[found]] = True
        _refuse_first(bad, values, column, table, what, allowed)
    if not gap.any():
        return parsed.astype("int64")
    return parsed.astype("Int64").reindex(values.index)


def _parsed(values: pd.Series) -> pd.Series:
    """Values as numbers, NaN where they are none."""
    try:
        parsed: pd.Series = pd.to_numeric(values, errors="coerce")
    except OverflowError:  # An integer above the largest float, in spite of "coerce".
        fits = np.array([not isinstance(v, int) or abs(v) < 10**300 for v in values], dtype=bool)
        parsed = pd.to_numeric(values.where(fits), errors="coerce")
    return parsed


def flags(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """A column as nullable booleans (true/false, yes/no, 1/0)."""
    values = frame[column]
    gap = is_missing(values)
    lowered = values.astype("str").str.strip().str.lower()
    true = lowered.isin(TRUE).to_numpy(dtype=bool)
    bad = ~(gap | true | lowered.isin(FALSE).to_numpy(dtype=bool))
    _refuse_first(bad, values, column, table, "not a truth value", "true or false")
    result = pd.Series(true, index=values.index, dtype="boolean")
    result[gap] = pd.NA
    return result


def texts(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """A column as text without gaps."""
    values = frame[column]
    _refuse_first(is_missing(values), values, column, table, "missing", "a name in every row")
    names = values.astype("str").str.strip()
    found = first_unprintable(names.unique())
    if found is not None:
        name, character = found
        code = character_name(character)
        _refuse_first(
            (names == name).to_numpy(dtype=bool),
            names,
            column,
            table,
            f"a name with the character {code}, which can't be shown",
            "letters, digits, signs and emoji",
        )
    return names


def refuse_rows(bad: npt.NDArray[np.bool_], index: pd.Index, message: str, table: str) -> None:
    """Refuse a table by its first bad row; `message` follows the row's number.

    `index` holds the rows' numbers from 0, so that they stay those of the file
    when rows have been selected.
    """
    if bad.any():
        raise TableError(f"{table}: row {index[int(np.flatnonzero(bad)[0])] + 1}, {message}")


def _refuse_first(
    bad: npt.NDArray[np.bool_],
    values: pd.Series,
    column: str,
    table: str,
    what: str,
    allowed: str,
) -> None:
    if bad.any():
        got = _short(values.iloc[int(np.flatnonzero(bad)[0])])
        refuse_rows(
            bad,
            values.index,
            f"column {column!r}: {got} is {what}; allowed: {allowed}. Correct the value "
            "or remove the row.",
            table,
        )


def _short(value: object) -> str:
    """A value as Python writes it, without the middle of a long one."""
    try:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        return "an integer of more than 4,300 digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def row_dict(table: pd.DataFrame, position: int) -> dict[str, Any]:
    """One row of a table, by its position, as a plain dictionary."""
    values = table.iloc[[position]].to_dict("records")[0]
    return {str(name): value for name, value in values.items()}
