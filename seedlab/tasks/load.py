"""`load_task`: from a task's specification to its tokenised examples."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from seedlab.errors import SeedlabError, nearest
from seedlab.spec.run import TaskSpec
from seedlab.tasks.cache import read_cached, write_cached
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.metrics import METRICS
from seedlab.tasks.registry import find_source
from seedlab.tasks.splits import resplit
from seedlab.tasks.subset import SUBSETS, subset
from seedlab.tasks.tokenise import encode_task, tokenizer_hash
from seedlab.techniques.truncation import TruncationSpec

# Raised when reading, drawing or tokenising the same source gives other examples.
_FORMAT = 1
HEAD = TruncationSpec()
"""The default truncation, which keeps the beginning of a text."""


def load_task(
    spec: TaskSpec,
    *,
    tokenizer: str | Path,
    max_positions: int | None,
    subsample_seed: int,
    cache_dir: Path | None,
    truncation: TruncationSpec = HEAD,
) -> EncodedTask:
    """Read and tokenise a task, or take it from the cache.

    Parameters
    ----------
    spec : TaskSpec
    tokenizer : str or pathlib.Path
        Checkpoint folder; `seedlab.models.checkpoint_folder.locate` finds that of a hub name.
    max_positions : int, optional
        Longest input that the model accepts, in tokens.
    subsample_seed : int
        Seed of the training subset, if ``spec.train_size`` is set.
    cache_dir : pathlib.Path, optional
        Folder of the cache of tokenised tasks; None: no cache.
    truncation : TruncationSpec
        Part of a text above the maximum length that is kept.

    Returns
    -------
    EncodedTask
        Its `content_hash` is the identity of the data.

    Raises
    ------
    SeedlabError
        When the specification or the data are wrong, or the texts are longer than the model's
        positions.
    """
    if max_positions is not None and spec.max_length > max_positions:
        raise SeedlabError(
            f"task.max_length={spec.max_length} is above the {max_positions} positions of the model; "
            f"use task.max_length={max_positions} or less (longer texts are cut and counted)."
        )
    folder = Path(tokenizer)
    source = find_source(spec)
    parts: list[object] = [_FORMAT, source.identity, tokenizer_hash(folder), spec.max_length]
    if spec.train_size is not None:
        parts += [spec.train_size, subsample_seed]
        # Other subsets than the first release's have keys of their own.
        parts += [] if spec.subset == SUBSETS[0] else [spec.subset]
    if spec.folds is not None:
        parts += ["folds", spec.folds, spec.fold, spec.split_seed]
    elif spec.dev_split != "given":
        parts += [spec.dev_split, spec.dev_size, spec.split_seed]
    if truncation.keep != HEAD.keep:
        parts += [truncation.keep, truncation.head]
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    path = None if cache_dir is None else cache_dir / "tasks" / f"{key}.npz"
    task = None if path is None else read_cached(path, spec.name)
    if task is None:
        raw = resplit(source.read(), spec)
        if spec.train_size is not None:
            train, names = raw.splits["train"], raw.label_names
            small = subset(train, spec.train_size, names, subsample_seed, spec.subset)
            raw = dataclasses.replace(raw, splits={**raw.splits, "train": small})
        task = encode_task(raw, folder, spec.name, spec.max_length, truncation)
        if path is not None:
            write_cached(path, task)
    return _with_metric(task, spec.metric)


def _with_metric(task: EncodedTask, metric: str | None) -> EncodedTask:
    """Return the task with `metric` as its first metric; unchanged if `metric` is None."""
    if metric is None:
        return task
    allowed = [name for name, known in METRICS.items() if known.suits(task.n_labels)]
    if metric not in allowed:
        kind = "regression" if task.is_regression else f"{task.n_labels} classes"
        problem = f"can't score {kind}" if metric in METRICS else "is not known"
        raise SeedlabError(
            f"task.metric={metric} {problem}; allowed for task '{task.name}' ({kind}): "
            f"{', '.join(allowed)}.{nearest(metric, allowed)}"
        )
    return dataclasses.replace(
        task, metrics=(metric, *(name for name in task.metrics if name != metric))
    )
