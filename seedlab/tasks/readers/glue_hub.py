"""The GLUE tasks from the Hugging Face hub, through `datasets`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from seedlab.compat.hub_private import unreachable, without_network
from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.glue_tasks import GlueTask, glue_task
from seedlab.tasks.readers.raw import RawSplit, RawTask, Source

_SPLITS = {
    "train": "train",
    "dev": "validation",
    "dev_matched": "validation_matched",
    "dev_mismatched": "validation_mismatched",
}


def hub_source(spec: TaskSpec) -> Source:
    """Return the source of a GLUE task on the hub.

    Its identity is the dataset's name. A task in the cache needs no network.
    """
    return Source(f"hub/{glue_task(spec.name).hub}/{spec.name}", lambda: read_hub(spec.name))


def read_hub(name: str) -> RawTask:
    """Download a GLUE task, or take it from the cache of `datasets`.

    Where the hub does not answer, the cache alone is asked.

    Raises
    ------
    SeedlabError
        When `datasets` raises any error.
    """
    task = glue_task(name)
    # datasets is slow to import, and no other reader needs it.
    import datasets

    silent = unreachable(task.hub, "dataset")
    try:
        with nullcontext() if silent is None else without_network():
            found = datasets.load_dataset(task.hub, name)
            splits = {
                split: _split(found[_SPLITS[stem]], task) for split, stem in task.splits.items()
            }
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        cache = datasets.config.HF_DATASETS_CACHE
        missing = f": the hub does not answer ({silent}), and its cache {cache} has no copy"
        raise SeedlabError(
            f"task '{name}' could not be loaded from the hub{missing if silent else ''} ({task.hub}; "
            f"{type(error).__name__}: {reason.rstrip('.')}); with a network connection it is downloaded "
            "once. Without one, put the original GLUE files into a folder and name it with "
            "task.path=FOLDER. A copy of another machine's cache is used with HF_HUB_OFFLINE=1."
        ) from error
    return RawTask(splits, task.label_names, task.metrics)


def _split(rows: Any, task: GlueTask) -> RawSplit:
    columns = task.hub_columns or task.columns
    texts, *pairs = (tuple(str(text) for text in rows[column]) for column in columns)
    labels = rows["label"]
    return RawSplit(
        texts,
        pairs[0] if pairs else None,
        tuple(float(v) for v in labels) if task.is_regression else tuple(int(v) for v in labels),
    )
