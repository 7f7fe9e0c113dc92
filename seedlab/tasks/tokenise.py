"""From texts to ragged arrays of token ids, with the tokenizer of a checkpoint."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from seedlab.errors import SeedlabError
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.tasks.readers.raw import RawTask
from seedlab.tasks.truncate import kept
from seedlab.tasks.unknown_tokens import unknown_share
from seedlab.techniques.truncation import TruncationSpec

_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "tokenizer.model",
)
_FILES = (
    *_VOCABULARIES,
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "config.json",
)


def tokenizer_hash(folder: Path) -> str:
    """Return 32 hexadecimal digits over a tokenizer's files and its libraries' versions.

    Raises
    ------
    SeedlabError
        When the folder holds no tokenizer.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise SeedlabError(
            f"{folder} has no tokenizer; expected tokenizer.json or one of "
            f"{', '.join(_VOCABULARIES[1:])}, as written by save_pretrained beside the weights."
        )
    digest = hashlib.sha256(f"{version('transformers')}/{version('tokenizers')}".encode())
    for name in _FILES:
        if (folder / name).is_file():
            content = (folder / name).read_bytes()
            digest.update(f"{name}/{len(content)}/".encode())
            digest.update(content)
    return digest.hexdigest()[:32]


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint folder.

    Raises
    ------
    SeedlabError
        When transformers can't load it.
    """
    # transformers is slow to import, and a cached task does not need it.
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise SeedlabError(
            f"the tokenizer in {folder} could not be loaded ({type(error).__name__}: {reason}); it "
            "must be one that transformers' AutoTokenizer knows. Restore its files."
        ) from error


def pad_id(tokenizer: Any) -> int:
    """Return the id of padding: the tokenizer's, else that of its end-of-text token, else 0."""
    for value in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if value is not None:
            return int(value)
    return 0


def encode(
    tokenizer: Any,
    texts: tuple[str, ...],
    pairs: tuple[str, ...] | None,
    labels: tuple[int, ...] | tuple[float, ...],
    max_length: int,
    *,
    regression: bool,
    truncation: TruncationSpec,
) -> Split:
    """Tokenise texts or pairs of texts; the longer text of a pair is cut first.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    texts, pairs : tuples of str
        `pairs` is None for single texts.
    labels : tuple of int or float
    max_length : int
        Longest result in tokens, special tokens included.
    regression : bool
        Whether the labels are numbers.
    truncation : TruncationSpec
        Part of a text above the maximum that is kept.
    """
    cut, truncated = tokenise(tokenizer, list(texts), _listed(pairs), max_length, truncation)
    ids = cut["input_ids"]
    lengths = np.fromiter((len(row) for row in ids), dtype=np.int64, count=len(ids))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    types = np.zeros(n, dtype=np.int8)
    if "token_type_ids" in cut:
        types = np.fromiter(chain.from_iterable(cut["token_type_ids"]), dtype=np.int8, count=n)
    tokens = np.fromiter(chain.from_iterable(ids), dtype=np.int32, count=n)
    return Split(
        ids=tokens,
        types=types,
        offsets=offsets,
        labels=np.array(labels, dtype=np.float64)
        if regression
        else np.array(labels, dtype=np.int64),
        truncated=truncated,
        unknown=unknown_share(tokenizer, tokens),
    )


def tokenise(
    tokenizer: Any,
    texts: list[str],
    pairs: list[str] | None,
    max_length: int,
    truncation: TruncationSpec,
) -> tuple[dict[str, list[list[int]]], int]:
    """Return token ids (and types, if the tokenizer has them), and the number of cut texts.

    Parameters
    ----------
    tokenizer, texts, pairs, max_length, truncation
        See `encode`.

    Returns
    -------
    dict of str to list of list of int
        ``input_ids`` and perhaps ``token_type_ids``, one list per text or pair.
    int
    """
    if truncation.keep != "head":
        return _cut_inside(tokenizer, texts, pairs, max_length, truncation)
    cut = dict(_call(tokenizer, texts, pairs, max_length))
    full = [i for i, row in enumerate(cut["input_ids"]) if len(row) == max_length]
    if not full:
        return cut, 0
    # With room for one more token, exactly the texts that were cut become longer.
    again = _call(
        tokenizer,
        [texts[i] for i in full],
        None if pairs is None else [pairs[i] for i in full],
        max_length + 1,
    )
    return cut, sum(len(row) > max_length for row in again["input_ids"])


def _cut_inside(
    tokenizer: Any,
    texts: list[str],
    pairs: list[str] | None,
    max_length: int,
    truncation: TruncationSpec,
) -> tuple[dict[str, list[list[int]]], int]:
    """Tokenise whole texts, then remove tokens from those above the maximum length."""
    rows: dict[str, list[list[int]]] = dict(
        tokenizer(
            texts,
            pairs,
            truncation=False,
            return_attention_mask=False,
            return_special_tokens_mask=True,
            verbose=False,
        )
    )
    special = rows.pop("special_tokens_mask")
    long = [i for i, row in enumerate(special) if len(row) > max_length]
    for i in long:
        places = kept(special[i], max_length, truncation).tolist()
        for column in rows.values():
            column[i] = [column[i][place] for place in places]
    return rows, len(long)


def encode_task(
    raw: RawTask, folder: Path, name: str, max_length: int, truncation: TruncationSpec
) -> EncodedTask:
    """Tokenise every split of a task with the tokenizer in a checkpoint folder."""
    tokenizer = load_tokenizer(folder)
    regression = not raw.label_names
    return EncodedTask(
        name=name,
        splits={
            split: encode(
                tokenizer,
                rows.texts,
                rows.pairs,
                rows.labels,
                max_length,
                regression=regression,
                truncation=truncation,
            )
            for split, rows in raw.splits.items()
        },
        n_labels=raw.n_labels,
        label_names=raw.label_names,
        metrics=raw.metrics,
        pad_id=pad_id(tokenizer),
        max_length=max_length,
    )


def _listed(texts: tuple[str, ...] | None) -> list[str] | None:
    return None if texts is None else list(texts)


def _call(tokenizer: Any, texts: list[str], pairs: list[str] | None, length: int) -> Any:
    return tokenizer(
        texts,
        pairs,
        truncation="longest_first" if pairs is not None else True,
        max_length=length,
        return_attention_mask=False,
    )
