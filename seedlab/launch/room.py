"""How much disk the checkpoints of a race take at most, said before it starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from pathlib import Path

from seedlab.launch.heats import Heat
from seedlab.models.checkpoint import locate
from seedlab.spec import ModelSpec, RunSpec

_VECTORS = 3
"""weights and two moments"""
_ITEM = {"float64": 8}


def checkpoint_bytes(run: RunSpec) -> int:
    """Return about how large a checkpoint of a run is, at most.

    Three numbers for every parameter of the pre-trained model, four where weights are averaged,
    in the precision of the master weights. What is frozen or out of the task's reach is not
    subtracted; the new head and the curves are a fraction of a per cent.
    """
    vectors = _VECTORS + (run.recipe.averaging.start_epoch is not None)
    return vectors * _ITEM.get(run.model.dtype, 4) * _parameters(run.model)


def most_checkpoints(heats: Sequence[Heat], workers: int, every: int | None) -> int:
    """Return how many checkpoints there are at a time, at most.

    The runs that may go on, and one more for every worker, which it is writing. With
    checkpoints on the way every run in work may have one.
    """
    most = 0
    for heat in heats:
        kept = [len(heat.runs) if rung.keep is None else rung.keep for rung in heat.rungs]
        most += len(heat.runs) if every is not None else max(kept, default=0)
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
