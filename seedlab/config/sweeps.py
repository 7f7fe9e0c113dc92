"""Sweeps of the command line: grids of seeds by their size, and refusals that show how to write one."""

from __future__ import annotations

import math
import re

from hydra.core.override_parser.types import Override, RangeSweep

from seedlab.config.settings import number_keys
from seedlab.errors import SeedlabError, nearest

MOST_RUNS = 100_000
"""Runs of the largest grid, and seeds of the longest range. Published grids have 625 runs."""

_SIZE = re.compile(r"\s*([0-9]+)\s*[x×*X]\s*([0-9]+)\s*")
_NUMBER = r"\s*(-?[0-9]+)\s*"
# Spellings of a range in other languages, and whether their end belongs to it.
_SPELLINGS = (
    (re.compile(rf"[\[({{]?{_NUMBER}(?:\.\.+|:){_NUMBER}[\])}}]?"), None),
    (re.compile(rf"[\[({{]?{_NUMBER}(?:-|–|—|to|~){_NUMBER}[\])}}]?"), True),
    (re.compile(rf"range\s*[\[({{]*{_NUMBER}[,;:. ]\s*{_NUMBER}[\])}}]*\.?", re.I), False),
    (re.compile(rf"\({_NUMBER},{_NUMBER}\)"), False),
    (re.compile(rf"{_NUMBER},(?:{_NUMBER},)?\s*\.\.+\s*,{_NUMBER}"), True),
)
_LIST = re.compile(r"[\[({]?\s*-?[0-9]+(?:[\s,;]+-?[0-9]+)+\s*[\])}]?")


def is_size(name: str) -> bool:
    """Return whether the name of a grid is a size, such as ``2x3``."""
    return _SIZE.fullmatch(name) is not None


def grid_sweeps(name: str) -> dict[str, str]:
    """Return the sweeps that ``grid=AxB`` stands for: A weight-init seeds x B data-order seeds.

    Parameters
    ----------
    name : str
        Two whole numbers of at least 1 with an x between.

    Raises
    ------
    SeedlabError
        For another text, and for more than `MOST_RUNS` runs.
    """
    found = _SIZE.fullmatch(name)
    sizes = tuple(int(size) for size in found.groups()) if found and len(name) < 40 else (0, 0)
    if 0 in sizes:
        raise SeedlabError(
            f"grid={name} is not the size of a grid; write grid=AxB with whole numbers from 1, for "
            "instance grid=5x5: 5 weight-init seeds x 5 data-order seeds. One run is grid=single."
            f"{nearest(name, ['single'])}"
        )
    if math.prod(sizes) > MOST_RUNS:
        raise SeedlabError(
            f"grid={name} asks for {math.prod(sizes):,} runs; at most {MOST_RUNS:,} can be planned at "
            "a time. Train a smaller grid."
        )
    inits, orders = sizes
    return {"seed.init": f"range(0,{inits})", "seed.order": f"range(0,{orders})"}


def check_sweep(line: str, override: Override) -> None:
    """Refuse a sweep without values, and a text that is meant as a range of numbers.

    Parameters
    ----------
    line : str
        The override as it was written.
    override : Override
        The same, as Hydra reads it.

    Raises
    ------
    SeedlabError
        With the spelling that Hydra knows, where the text resembles one.
    """
    key = override.key_or_group
    value = override.value()
    if isinstance(value, RangeSweep):
        _check_range(line, key, value)
    elif key in number_keys() and (hint := _suggestion(key, line.partition("=")[2])):
        raise SeedlabError(f"{line} is neither a number nor a sweep; {hint}")


def _check_range(line: str, key: str, sweep: RangeSweep) -> None:
    """Refuse a range that is empty, endless or too long to plan."""
    start, stop, step = sweep.start or 0, sweep.stop or 0, sweep.step
    if step == 0:
        raise SeedlabError(
            f"{line} never ends; the third number is the step: leave it out or use 1."
        )
    length = math.ceil((stop - start) / step)
    if length <= 0:
        low, high = sorted((start, stop))
        possible = low < high and (low >= 0 or not key.startswith("seed."))
        turned = f", for instance {key}=range({low},{high})" if possible else ""
        raise SeedlabError(
            f"{line} has no values, so that nothing would be trained; range(a,b) goes from a to b and "
            f"leaves b out: b must be above a{turned}."
        )
    if key.startswith("seed.") and length > MOST_RUNS:
        raise SeedlabError(
            f"{line} has {length:,} seeds; at most {MOST_RUNS:,} can be planned at a time. Use a "
            "shorter range."
        )


def unreadable(line: str, reason: str) -> SeedlabError:
    """Return the refusal of an override that Hydra's grammar does not accept.

    Parameters
    ----------
    line : str
    reason : str
        The parser's message. It speaks of grammar, so that it is left out where a range is meant.
    """
    key, _, value = line.partition("=")
    bare = key.lstrip("+~")
    if bare in number_keys() and (hint := _suggestion(bare, value)):
        return SeedlabError(f"{line} can't be read; {hint}")
    fault = "it has no '='" if "=" not in line else _fault(value)
    told = reason.strip().split("\n")[0].rstrip(".")
    return SeedlabError(
        f"{line} is not an override that Hydra can read ({told}){fault and f': {fault}'}; write "
        "KEY=VALUE, and quote it for the shell if it has brackets, commas or blanks. A sweep is "
        "KEY=a,b,c or KEY=range(a,b)."
    )


def _suggestion(key: str, value: str) -> str:
    """Return how to write the range that a text resembles; empty where it resembles none."""
    bare = value.strip().strip("'\"")
    for pattern, with_end in _SPELLINGS:
        if found := pattern.fullmatch(bare):
            numbers = [int(number) for number in found.groups() if number is not None]
            first, last = numbers[0], numbers[-1]
            stop = last + 1 if with_end else last
            if stop <= first:
                return ""
            also = f"; range({first},{stop + 1}) has {last} too" if with_end is None else ""
            return (
                f"write '{key}=range({first},{stop})' for {_listed(first, stop)} (the end of a range "
                f"is left out{also})."
            )
    if _LIST.fullmatch(bare) and not re.fullmatch(r"[-0-9,\s]*,[-0-9,\s]*", bare):
        values = ",".join(re.findall(r"-?[0-9]+", bare))
        return f"write '{key}={values}' for these values one after the other."
    return ""


def _listed(first: int, stop: int) -> str:
    values = [str(value) for value in range(first, min(stop, first + 5))]
    return ", ".join(values) if stop - first <= 5 else f"{', '.join(values[:3])}, ..., {stop - 1}"


def _fault(value: str) -> str:
    """Return the fault of a value that can't be read, in words; empty where it is not known."""
    pairs = {")": "(", "]": "[", "}": "{"}
    open_ones: list[str] = []
    for letter in value:
        if letter in pairs.values():
            open_ones.append(letter)
        elif letter in pairs and (not open_ones or open_ones.pop() != pairs[letter]):
            return f"the bracket '{letter}' closes none that is open"
    if open_ones:
        return f"the bracket '{open_ones[-1]}' is not closed"
    if re.search(r",\s*,|^\s*,|,\s*$", value):
        return "a comma has no value on one side"
    if re.fullmatch(r"\s*choice\(\s*\)\s*", value):
        return "choice() has no values"
    if found := re.match(r"\s*([A-Za-z]+)\(", value):
        known = ("range", "choice", "interval", "tag", "glob", "shuffle", "sort", "int", "float")
        if found[1] not in (*known, "str", "bool"):
            return (
                f"'{found[1]}' is no function of Hydra; there are {', '.join(known)}, str and bool"
            )
    return ""
