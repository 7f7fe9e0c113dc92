"""`RawTask`: the examples of a task as texts. `Source`: a task before it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RawSplit:
    """The examples of one split.

    Parameters
    ----------
    texts : tuple of str
    pairs : tuple of str or None
        The second texts; None for a task of single texts.
    labels : tuple of int (class) or float (target)
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[int, ...] | tuple[float, ...]

    def take(self, indices: Sequence[int]) -> RawSplit:
        """Return these examples, in this order."""
        return RawSplit(
            tuple(self.texts[i] for i in indices),
            tuple(self.pairs[i] for i in indices) if self.pairs is not None else None,
            tuple(self.labels[i] for i in indices),
        )


@dataclass(frozen=True)
class RawTask:
    """A task as texts.

    Parameters
    ----------
    splits : mapping of str to RawSplit
        ``train`` and ``dev``, and other splits that have labels. A table that is cross-validated
        may lack ``dev``.
    label_names : tuple of str
        Names of the classes in order; empty for regression.
    metrics : tuple of str
        Metrics of the task; the first one is the score of a run.
    """

    splits: Mapping[str, RawSplit]
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def n_labels(self) -> int:
        """Number of classes; 1 for regression."""
        return len(self.label_names) or 1


@dataclass(frozen=True)
class Source:
    """A task that can be read.

    Parameters
    ----------
    identity : str
        Name of the content: equal identities are read to equal tasks. A task in the cache is
        found by it, without reading.
    read : callable
        () -> RawTask. Reads or generates the task.
    """

    identity: str
    read: Callable[[], RawTask]
