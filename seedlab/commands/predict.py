"""Scoring a file with a saved model, through transformers (and a head of ours, if it has one)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoTokenizer

from seedlab.errors import SeedlabError, nearest
from seedlab.fields import split_known
from seedlab.models.heads import HeadChoice
from seedlab.models.saved import ABOUT, ABOUT_VERSION, read_model
from seedlab.spec.build import read_stored
from seedlab.tasks.readers.table_files import Rows, read_rows
from seedlab.tasks.tokenise import tokenise
from seedlab.techniques.truncation import TruncationSpec


def predict(
    folder: Path,
    file: Path,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    batch_size: int = 32,
) -> pd.DataFrame:
    """Return the rows of a file with the model's predictions beside them.

    Parameters
    ----------
    folder : pathlib.Path
        Written by `seedlab.reproduce.retrain.save`.
    file : pathlib.Path
        CSV, TSV, JSON lines (.jsonl) or Parquet.
    text, text_pair : str, optional
        Columns of the texts; by default those the model was trained on, or ``text`` (or
        ``text_a`` and ``text_b`` for pairs).
    batch_size : int

    Returns
    -------
    pandas.DataFrame
        The file's columns, then ``prediction`` and, for classes, one ``p_<label>`` each.

    Raises
    ------
    SeedlabError
        When the folder is no saved model, the file can't be read or lacks a column.
    """
    if not (folder / ABOUT).is_file():
        raise SeedlabError(
            f"{folder} is not a model that seedlab saved (it has no {ABOUT}); make one with "
            "`seedlab save STUDY best DIR`."
        )
    about = json.loads((folder / ABOUT).read_text())
    if (version := about.get("schema_version", 1)) > ABOUT_VERSION:
        raise SeedlabError(
            f"{folder / ABOUT} has schema version {version}; this seedlab reads up to "
            f"{ABOUT_VERSION}. Use the seedlab that saved the model, or a newer one."
        )
    rows = read_rows(file)
    columns = _columns(about["task"], about["pairs"], rows, text, text_pair)
    texts = [rows.columns[column] for column in columns]
    for column, values in zip(columns, texts, strict=True):
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise SeedlabError(
                    f"{rows.place(index, column)}: {value!r} is not text; every row must have a text."
                )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    truncation, _ = read_stored(TruncationSpec, about.get("truncation", {}))
    # Padding what is tokenised already is not advised for fast tokenizers; here it must be cut
    # between the two steps as it was in training.
    tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
    head = about.get("head")
    model = read_model(
        folder, None if head is None else HeadChoice(**split_known(head, HeadChoice._fields)[0])
    )
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            first, *second = (list(values[start : start + batch_size]) for values in texts)
            length = about["task"]["max_length"]
            cut, _ = tokenise(tokenizer, first, second[0] if second else None, length, truncation)
            inputs = tokenizer.pad(cut, padding=True, return_tensors="pt")
            parts.append(model(**inputs).logits.float().numpy())
    logits = np.concatenate(parts)
    out = pd.DataFrame(rows.columns)
    if about["n_labels"] == 1:
        out["prediction"] = logits[:, 0]
        return out
    names = [model.config.id2label[i] for i in range(about["n_labels"])]
    shares = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    out["prediction"] = [names[i] for i in logits.argmax(axis=1)]
    for i, name in enumerate(names):
        out[f"p_{name}"] = shares[:, i]
    return out


def _columns(
    task: dict[str, str | None], pairs: bool, rows: Rows, text: str | None, text_pair: str | None
) -> list[str]:
    """Return the names of the text columns: two for a model that was trained on pairs."""
    if text_pair and not pairs:
        raise SeedlabError(
            f"--text-pair {text_pair}: the model was trained on single texts; leave it out."
        )
    wanted = [text or task.get("text") or ("text_a" if pairs else "text")]
    if pairs:
        wanted.append(text_pair or task.get("text_pair") or "text_b")
    for column in wanted:
        if column not in rows.columns:
            raise SeedlabError(
                f"{rows.path} has no column '{column}'; it has {', '.join(rows.columns)}. Name the "
                f"right one with --text{' and --text-pair' if pairs else ''}."
                f"{nearest(column, rows.columns)}"
            )
    return wanted
