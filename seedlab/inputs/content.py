"""The content behind a run's names and paths: the encoded task, and hashes of task and weights."""

from __future__ import annotations

from functools import lru_cache

from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import locate, max_positions, read_config, weights_hash
from seedlab.paths import cache_folder
from seedlab.spec.run import ModelSpec, TaskSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.load import HEAD, load_task
from seedlab.techniques.truncation import TruncationSpec


@lru_cache(maxsize=4)
def load_encoded(
    task: TaskSpec, model: ModelSpec, subsample_seed: int, truncation: TruncationSpec = HEAD
) -> EncodedTask:
    """Return a task tokenised for a model: read and tokenised once, then from the cache.

    Raises
    ------
    seedlab.errors.SeedlabError
        When the data or the checkpoint's files are missing, damaged or do not fit together.
    """
    folder = locate(model.name, model.path, model.allow_pickle)
    loaded = load_task(
        task,
        tokenizer=folder,
        max_positions=max_positions(folder),
        subsample_seed=subsample_seed,
        cache_dir=cache_folder(),
        truncation=truncation,
    )
    known = read_config(folder).get("vocab_size")
    highest = max(int(split.ids.max()) for split in loaded.splits.values())
    if isinstance(known, int) and highest >= known:
        raise SeedlabError(
            f"the tokenizer in {folder} gives token number {highest}, but the model knows the "
            f"{known} tokens 0 to {known - 1} (vocab_size in config.json); use the tokenizer that "
            "the model was trained with."
        )
    return loaded


@lru_cache(maxsize=16)
def hashes(
    task: TaskSpec, model: ModelSpec, subsample_seed: int, truncation: TruncationSpec
) -> tuple[str, str]:
    """Return the content hashes of a task and of a model's weights."""
    folder = locate(model.name, model.path, model.allow_pickle)
    return (
        load_encoded(task, model, subsample_seed, truncation).content_hash(),
        weights_hash(folder, cache_folder()),
    )
