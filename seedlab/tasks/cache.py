"""Tokenised tasks on disk, so that a study reads and tokenises its task once.

Each content has one file, an .npz archive without compression and without pickles. It is
written under a temporary name and renamed. A damaged file is replaced, as if it were missing.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from seedlab.tasks.encoded import EncodedTask, Split

_ARRAYS = ("ids", "types", "offsets", "labels")


def read_cached(path: Path, name: str) -> EncodedTask | None:
    """Return the task in a file of the cache; None if the file is missing, damaged or too old.

    Parameters
    ----------
    path : pathlib.Path
    name : str
        Label of the returned task. It is not part of the content.
    """
    try:
        # Opened here: numpy does not close a file that is not an archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            meta = json.loads(archive["meta"].tobytes())
            splits = {
                split: Split(
                    **{array: archive[f"{split}.{array}"] for array in _ARRAYS},
                    truncated=int(truncated),
                    unknown=float(meta["unknown"][split]),
                )
                for split, truncated in meta["truncated"].items()
            }
        task = EncodedTask(
            name=name,
            splits=splits,
            n_labels=int(meta["n_labels"]),
            label_names=tuple(meta["label_names"]),
            metrics=tuple(meta["metrics"]),
            pad_id=int(meta["pad_id"]),
            max_length=int(meta["max_length"]),
        )
        return task if task.content_hash() == meta["content"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def write_cached(path: Path, task: EncodedTask) -> None:
    """Write a task to the cache; do nothing if the disk is full or the folder not writable.

    The next call then tokenises the task again, which takes seconds and changes no result.
    """
    meta = {
        "content": task.content_hash(),
        "truncated": {name: split.truncated for name, split in task.splits.items()},
        "unknown": {name: split.unknown for name, split in task.splits.items()},
        "n_labels": task.n_labels,
        "label_names": list(task.label_names),
        "metrics": list(task.metrics),
        "pad_id": task.pad_id,
        "max_length": task.max_length,
    }
    arrays = {
        f"{name}.{array}": getattr(split, array)
        for name, split in task.splits.items()
        for array in _ARRAYS
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not from tempfile, whose files no other user may read: a cache can be shared.
        beside = path.with_name(f"{path.stem}{uuid.uuid4().hex}.part")
        with beside.open("xb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        os.replace(beside, path)
    except OSError:
        if beside is not None:
            with suppress(OSError):
                beside.unlink()
