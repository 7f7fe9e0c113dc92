"""Ranges and choices: what they refuse, and in which words."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest

from seedlab.allowed import ABOVE_0, AT_LEAST_1, FRACTION, SHARE, OneOf, Range, check_values
from seedlab.errors import SeedlabError


@pytest.mark.parametrize(
    ("allowed", "words", "inside", "outside"),
    [
        (AT_LEAST_1, "at least 1", [1, 7, 2**70], [0, -1]),
        (ABOVE_0, "above 0", [1e-9], [0.0, -1.0, math.inf, math.nan]),
        (SHARE, "between 0 and 1", [0.0, 0.5, 1.0], [-0.1, 1.1]),
        (FRACTION, "at least 0 and below 1", [0.0, 0.9], [1.0]),
        (Range(0, 1, above=True), "above 0 and at most 1", [1.0], [0.0]),
        (Range(high=3, note=", or null"), "at most 3, or null", [3, -9], [4]),
    ],
)
def test_ranges(allowed: Range, words: str, inside: list[float], outside: list[float]) -> None:
    for value in (*inside, None):
        allowed.check("a.b", value)
    for value in outside:
        message = f"a.b={value} is out of range; it must be {words}."
        with pytest.raises(SeedlabError, match=f"^{re.escape(message)}$"):
            allowed.check("a.b", value)


def test_a_choice_names_the_nearest_word() -> None:
    OneOf(("global", "tensor")).check("clip.mode", "tensor")
    with pytest.raises(
        SeedlabError,
        match=r"^clip.mode=globl is not known; allowed: global, tensor. Did you mean 'global'\?$",
    ):
        OneOf(("global", "tensor")).check("clip.mode", "globl")


def test_values_are_found_by_dotted_names() -> None:
    values = SimpleNamespace(clip=SimpleNamespace(norm=0.0))
    with pytest.raises(SeedlabError, match=r"^recipe.clip.norm=0.0 is out of range"):
        check_values(values, {"clip.norm": ABOVE_0}, "recipe.")
