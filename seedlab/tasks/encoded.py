"""`EncodedTask`: a tokenised task as ragged arrays, ready for an engine.

This module imports numpy alone. Other modules of the package read and tokenise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Split:
    """The examples of one split, without padding.

    Parameters
    ----------
    ids : (token,) array of int32
        Token ids of all examples, concatenated, special tokens included.
    types : (token,) array of int8
        Token type (segment) ids.
    offsets : (example + 1,) array of int64
        Example i owns ``ids[offsets[i]:offsets[i + 1]]``.
    labels : (example,) array of int64 (classification) or float64 (regression)
    truncated : int
        Number of examples that were cut to the maximum length.
    unknown : float
        Share of the texts' tokens that the tokenizer does not know, in [0, 1].
    """

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.int8]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    truncated: int = 0
    unknown: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per example, an (example,) array."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class EncodedTask:
    """A tokenised task, as engines take it.

    Parameters
    ----------
    name : str
        The task's label in every table.
    splits : mapping of str to Split
        ``train`` and ``dev``, and ``dev_mismatched`` (MNLI) or ``test`` where they have labels.
    n_labels : int
        Number of classes; 1 means regression.
    label_names : tuple of str
        Names of the classes in order; empty for regression.
    metrics : tuple of str
        Names in `seedlab.tasks.metrics.METRICS`. The first one is the score of a run.
    pad_id : int
        Token id used for padding.
    max_length : int
        Configured maximum length in tokens. It fixes the strides of the dropout counters.
    """

    name: str
    splits: Mapping[str, Split]
    n_labels: int
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]
    pad_id: int
    max_length: int

    @property
    def is_regression(self) -> bool:
        """Whether the labels are numbers."""
        return self.n_labels == 1

    def content_hash(self) -> str:
        """Return 32 hexadecimal digits over every token id and label of every split."""
        digest = hashlib.sha256(f"{self.n_labels}/{self.pad_id}".encode())
        for name in sorted(self.splits):
            split = self.splits[name]
            for array in (split.ids, split.types, split.offsets, split.labels):
                digest.update(f"{name}/{array.dtype}/{array.shape}/".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]
