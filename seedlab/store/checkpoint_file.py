"""Conversion of a checkpoint to the bytes of one safetensors file, and back; never pickles.

The run's history lies beside the weights as separate tensors, whose names start with
``trace/``. So every float is restored with the same bits. Names and other text are in the
file's header.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from seedlab.training.checkpoint import Checkpoint
from seedlab.training.history import History
from seedlab.training.kept_weights import KeptWeights
from seedlab.training.result import Evaluation, Profile

_HISTORY = "trace/"


def to_bytes(checkpoint: Checkpoint, header: Mapping[str, Any]) -> bytes:
    """Return a checkpoint as the content of a file.

    Parameters
    ----------
    checkpoint : Checkpoint
    header : mapping of str to plain values
        Entries that can be read without reading the tensors.
    """
    history, kept = checkpoint.history, checkpoint.history.kept
    tensors = {
        f"{_HISTORY}losses": _floats(history.losses),
        f"{_HISTORY}grad_norms": _floats(history.grad_norms),
        f"{_HISTORY}epochs": _floats([e.epoch for e in history.evaluations]),
        f"{_HISTORY}values": _floats([e.value for e in history.evaluations]),
        f"{_HISTORY}best": _floats([] if history.best is None else [history.best]),
        **{f"{_HISTORY}kept/{name}": t for name, t in (kept.tensors if kept else {}).items()},
        **{f"{_HISTORY}profile/{k}": _floats(p.values) for k, p in enumerate(history.profiles)},
        **{
            f"{_HISTORY}logits/{split}": torch.from_numpy(np.ascontiguousarray(values))
            for split, values in history.logits.items()
        },
    }
    text = {
        **header,
        "step": checkpoint.step,
        "status": history.status,
        "idle": history.idle,
        "seconds": history.seconds,
        "kept": None if kept is None else [kept.step, kept.score],
        "evaluations": [[e.step, e.split, e.metric] for e in history.evaluations],
        "profiles": [[p.step, p.name] for p in history.profiles],
    }
    described = json.dumps(text, allow_nan=False)
    return bytes(save({**checkpoint.tensors, **tensors}, {"seedlab": described}))


def from_bytes(data: bytes) -> Checkpoint:
    """Return the checkpoint in the content of a file.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it lacks an entry that is required, as one of another release may.
    """
    text, tensors = header_of(data), load(data)
    stored = _under(_HISTORY, tensors)
    best, kept = stored["best"].tolist(), text.get("kept")
    evaluations = zip(
        text["evaluations"], stored["epochs"].tolist(), stored["values"].tolist(), strict=True
    )
    history = History(
        status=text["status"],
        evaluations=[
            Evaluation(step, epoch, split, metric, value)
            for (step, split, metric), epoch, value in evaluations
        ],
        losses=stored["losses"].tolist(),
        grad_norms=stored["grad_norms"].tolist(),
        logits={name: t.numpy() for name, t in _under("logits/", stored).items()},
        profiles=[
            Profile(step, name, tuple(stored[f"profile/{k}"].tolist()))
            for k, (step, name) in enumerate(text.get("profiles", []))
        ],
        seconds=text.get("seconds", 0.0),
        best=best[0] if best else None,
        idle=text["idle"],
        kept=None if kept is None else KeptWeights(kept[0], kept[1], _under("kept/", stored)),
    )
    rest = {name: t for name, t in tensors.items() if not name.startswith(_HISTORY)}
    return Checkpoint(text["step"], history, rest)


def header_of(data: bytes) -> dict[str, Any]:
    """Return the entries in the header of a checkpoint file.

    Parameters
    ----------
    data : bytes
        The file's content, or a first part of it that contains the header.

    Raises
    ------
    ValueError, KeyError
        When seedlab did not write the file, or when `data` ends within the header.
    """
    length = int.from_bytes(data[:8], "little")
    found: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["seedlab"])
    return found


def best_so_far(history: History, metric: str, *, higher_is_better: bool) -> float | None:
    """Return the best value of a metric on ``dev`` after step 0; None without any.

    NaN and the score of the untrained model never count as the best.
    """
    values = [
        e.value
        for e in history.evaluations
        if (e.split, e.metric) == ("dev", metric) and e.step > 0 and not math.isnan(e.value)
    ]
    if not values:
        return None
    return max(values) if higher_is_better else min(values)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors whose names have a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _floats(values: Any) -> torch.Tensor:
    return torch.tensor(list(values), dtype=torch.float64)
