"""`RandomChoices`: random choices that are the same in every version of numpy.

numpy keeps the raw bits of a bit generator in all versions, but not the distributions built
on them. The embedded tasks need few distributions: integer arithmetic computes them here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 4096


class RandomChoices:
    """Random choices keyed by a name, one after the other.

    Parameters
    ----------
    name : str
        The same name gives the same choices, on every machine and version.
    """

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(f"seedlab/generator/{name}".encode()).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
        self._words: list[int] = []

    def word(self) -> int:
        """Return 64 random bits."""
        if not self._words:
            self._words = self._bits.random_raw(_BLOCK)[::-1].tolist()
        return self._words.pop()

    def below(self, n: int) -> int:
        """Return an integer of at least 0 and below `n` (bias below n / 2**64)."""
        return (self.word() * n) >> 64

    def uniform(self) -> float:
        """Return a number of at least 0 and below 1, on a grid of 2**-53."""
        return (self.word() >> 11) * 2.0**-53

    def chance(self, p: float) -> bool:
        """Return True with probability `p`."""
        return self.uniform() < p

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices, each as likely as the others."""
        return choices[self.below(len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order (Fisher and Yates)."""
        out = list(items)
        for last in range(len(out) - 1, 0, -1):
            other = self.below(last + 1)
            out[last], out[other] = out[other], out[last]
        return out
