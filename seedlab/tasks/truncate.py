"""Truncation: the tokens that are kept of a text above the maximum length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seedlab.errors import SeedlabError
from seedlab.techniques.truncation import TruncationSpec


def kept(
    special: Sequence[int], max_length: int, truncation: TruncationSpec
) -> npt.NDArray[np.int64]:
    """Return the positions of the tokens that are kept.

    Special tokens are always kept. The longer text of a pair is cut first, as tokenizers do
    with ``longest_first``. A text that is cut keeps its end (``tail``), or its first
    `truncation.head` tokens and its end (``head_tail``). Sun et al. (2019) keep 128 + 382 tokens
    of single texts.

    Parameters
    ----------
    special : sequence of int
        One per token of the whole input: 1 for a special token, 0 for one of a text.
    max_length : int
        Longest result in tokens, special tokens included.
    truncation : TruncationSpec

    Returns
    -------
    (token,) array of int64
        Ascending positions: `max_length` of them, or all if the input is not longer.

    Raises
    ------
    SeedlabError
        When `truncation.head` leaves no room for the end of a text.
    """
    keep = np.array(special, dtype=bool)
    # First and last positions of the texts: stretches without special tokens.
    edges = np.flatnonzero(np.diff(~keep, prepend=False, append=False)).reshape(-1, 2)
    lengths = (edges[:, 1] - edges[:, 0]).tolist()
    room = max(0, max_length - int(keep.sum()))
    for (start, end), share in zip(edges.tolist(), shares(lengths, room), strict=True):
        first = 0
        if truncation.keep == "head_tail" and share < end - start:
            first = truncation.head
            if first >= share:
                raise SeedlabError(
                    f"recipe.truncation.head={first} leaves nothing of a text's end: with "
                    f"task.max_length={max_length} a text of {end - start} tokens is cut to {share}, "
                    "besides special tokens; raise task.max_length (Sun et al. 2019: 512) or use a "
                    f"recipe.truncation.head below {share}."
                )
        keep[start : start + first] = True
        keep[end - (share - first) : end] = True
    return np.flatnonzero(keep)


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """Return the number of tokens that each text may keep; the longest text is cut first.

    Parameters
    ----------
    lengths : sequence of int
        Lengths of the texts in tokens.
    room : int
        Tokens for all texts together.
    """
    given = list(lengths)
    order = sorted(range(len(lengths)), key=lambda text: lengths[text])
    for place, text in enumerate(order):
        given[text] = min(lengths[text], room // (len(order) - place))
        room -= given[text]
    return given
