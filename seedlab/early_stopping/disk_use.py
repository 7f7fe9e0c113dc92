"""Disk use of early stopping: the size of a checkpoint, and the largest number of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from pathlib import Path

from seedlab.early_stopping.brackets import RunBracket
from seedlab.models.checkpoint_folder import locate
from seedlab.spec.recipe import active_techniques
from seedlab.spec.run import ModelSpec, RunSpec

_VECTORS = 3
"""Numbers per parameter in a checkpoint: the weight and Adam's two moments."""
_ITEM = {"float64": 8}
"""Bytes of a number, where they are not 4."""


def checkpoint_bytes(run: RunSpec) -> int:
    """Return an upper estimate of the size of a run's checkpoint in bytes.

    It counts three numbers for each parameter of the pre-trained model, in the precision of the
    master weights. Weight averaging adds one, and so does `evaluation.keep` best. Frozen parameters and unused embedding rows
    are counted, too. The new head and the curves are not; they are a fraction of a per cent.
    """
    kept = sum(technique.vectors for technique in active_techniques(run.recipe).values())
    vectors = _VECTORS + kept + (run.evaluation.keep == "best")
    return vectors * _ITEM.get(run.model.dtype, 4) * _parameters(run.model)


def most_checkpoints(brackets: Sequence[RunBracket], workers: int, every: int | None) -> int:
    """Return the largest number of checkpoints that exist at a time.

    These are the checkpoints of runs that may be promoted, and one that each worker is writing.
    With checkpoints between the rungs (`every`) each run may have one.
    """
    most = 0
    for bracket in brackets:
        kept = [len(bracket.runs) if rung.keep is None else rung.keep for rung in bracket.rungs]
        most += len(bracket.runs) if every is not None else max(kept, default=0)
    return most + workers


@lru_cache(maxsize=8)
def _parameters(model: ModelSpec) -> int:
    folder = locate(model.name, model.path, model.allow_pickle)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return sum(file.stat().st_size for file in folder.glob("*.bin")) // 4
    return sum(_numbers(file) for file in files)


def _numbers(file: Path) -> int:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(prod(part["shape"]) for name, part in header.items() if name != "__metadata__")
