"""Unknown tokens: the share of a text that a tokenizer replaces by its symbol for unknown words."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.errors import SeedlabError
from seedlab.tasks.encoded import EncodedTask

log = logging.getLogger(__name__)

WARNED = 0.05
"""share of unknown tokens from which a task comes with a warning"""
REFUSED = 0.30
"""share of unknown tokens from which a task is refused"""


def unknown_share(tokenizer: Any, ids: npt.ArrayLike) -> float:
    """Return the share of unknown tokens among the tokens of texts.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        If its unknown token has another role too (GPT-2: end of text), or there is none, no token
        counts as unknown.
    ids : (token,) array of int
        Other special tokens and padding are not counted.

    Returns
    -------
    float
        In [0, 1]; 0 where there are no tokens of texts.
    """
    unknown = tokenizer.unk_token_id
    others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    if unknown is None or unknown in others:
        return 0.0
    special = [number for number in tokenizer.all_special_ids if number != unknown]
    found = np.asarray(ids)
    found = found[~np.isin(found, special)]
    return float(np.mean(found == unknown)) if found.size else 0.0


def check_unknown(task: EncodedTask, model: str, allowed: bool) -> None:
    """Log a warning about many unknown tokens, once per process, or refuse the task.

    Parameters
    ----------
    task : EncodedTask
    model : str
        Label of the model whose tokenizer it is, for the message.
    allowed : bool
        Warn where the task would be refused.

    Raises
    ------
    SeedlabError
        When the share in a split is `REFUSED` or more.
    """
    worst = max(split.unknown for split in task.splits.values())
    if worst < WARNED:
        return
    found = (
        f"task '{task.name}': {unknown_text(task)} are unknown to the tokenizer of model '{model}', "
        "which puts one and the same symbol in their place"
    )
    instead = "choose a model that was pre-trained on such texts (model=bert-base-uncased, model.path=FOLDER)"
    if model == "embedded":
        instead += "; the embedded encoder knows the words of the embedded tasks alone"
    if worst >= REFUSED and not allowed:
        raise SeedlabError(
            f"{found}; from {REFUSED:.0%} on a task is refused: {instead}. "
            "task.allow_unknown_tokens=true trains all the same."
        )
    _warn(f"{found}: {instead}.")


def unknown_text(task: EncodedTask) -> str:
    """Return the shares of all splits as text, the validation set first."""
    order = sorted(task.splits, key=lambda name: (name != "dev", name != "train", name))
    shares = [f"{task.splits[name].unknown:.1%} of the {name} tokens" for name in order]
    return f"{', '.join(shares[:-1])} and {shares[-1]}"


@lru_cache(maxsize=64)
def _warn(sentence: str) -> None:
    # Every job of a grid asks for the task again.
    log.warning("%s", sentence)
