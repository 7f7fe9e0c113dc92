"""`seedlab predict`: scores a file with a saved model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedlab.commands.verbs.verb import CommandVerb
from seedlab.errors import SeedlabError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from seedlab.tasks.readers.table_files import Rows


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="DIR", type=Path, help="a folder that `seedlab save` wrote"
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV, TSV, JSON lines or Parquet")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="CSV file to write; default: standard output"
    )
    parser.add_argument(
        "--text", metavar="COLUMN", help="column of the text; default: that of training"
    )
    parser.add_argument("--text-pair", metavar="COLUMN", help="column of the second text of pairs")


def _predict(options: argparse.Namespace) -> int:
    if options.out is not None:
        _check_out(options.out, options.file)
    table = predict(options.model, options.file, text=options.text, text_pair=options.text_pair)
    if options.out is None:
        print(table.to_csv(index=False), end="")
        return 0
    try:
        table.to_csv(options.out, index=False)
    except OSError as error:
        raise SeedlabError(f"{options.out} can't be written ({error}).") from error
    print(f"{len(table)} predictions in {options.out}")
    return 0


def _check_out(out: Path, file: Path) -> None:
    """Refuse a place that can't be written to, or that holds the texts, before any work."""
    from seedlab.store.writable import check_file

    if out.exists() and file.exists() and out.samefile(file):
        raise SeedlabError(
            f"--out {out} is the file that is scored, and would replace it; name another file."
        )
    check_file(out, "predictions", "name another one with --out FILE")


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
    import numpy as np
    import pandas as pd
    import torch

    from seedlab.models.saved import ABOUT, read_about
    from seedlab.tasks.readers.table_files import EXTENSIONS, read_rows

    if not (folder / ABOUT).is_file():
        raise SeedlabError(
            f"{folder} is not a model that seedlab saved (it has no {ABOUT}); make one with "
            "`seedlab save STUDY best DIR`."
        )
    about = read_about(folder)
    if not file.is_file():
        raise SeedlabError(
            f"{file} is not a file; name an existing table to score ({', '.join(EXTENSIONS)})."
        )
    rows = read_rows(file)
    columns = _columns(about["task"], about["pairs"], rows, text, text_pair)
    texts = [_texts(rows, column) for column in columns]
    logits, label_names = _score(folder, about, texts, batch_size)
    out = pd.DataFrame(rows.columns)
    if about["n_labels"] == 1:
        out["prediction"] = logits[:, 0]
        return out
    shares = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    out["prediction"] = [label_names[i] for i in np.argmax(logits, axis=1)]
    for i, name in enumerate(label_names):
        out[f"p_{name}"] = shares[:, i]
    return out


def _score(
    folder: Path, about: dict[str, Any], texts: Sequence[Sequence[str]], batch_size: int
) -> tuple[np.ndarray, list[str]]:
    """Return the logits of the texts, shape (text, label) in float32, and the labels' names."""
    import numpy as np
    import torch
    from transformers.utils.logging import disable_progress_bar

    from seedlab.fields import split_known
    from seedlab.models.heads import HeadChoice
    from seedlab.models.saved import read_model, refusing_damage
    from seedlab.spec.build import read_stored
    from seedlab.tasks.tokenise import load_tokenizer, tokenise
    from seedlab.tasks.unknown_tokens import unknown_share
    from seedlab.techniques.truncation import TruncationSpec

    disable_progress_bar()
    tokenizer = load_tokenizer(folder)
    with refusing_damage(folder):
        truncation, _ = read_stored(TruncationSpec, about.get("truncation", {}))
        head = about.get("head")
        choice = None if head is None else HeadChoice(**split_known(head, HeadChoice._fields)[0])
        model = read_model(folder, choice)
        names = [str(model.config.id2label[i]) for i in range(about["n_labels"])]
    # transformers advises against padding tokenised texts with a fast tokenizer. Here the texts
    # must be cut between the two steps, as they were in training.
    tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
    length = about["task"]["max_length"]
    parts, read = [], []
    with torch.inference_mode():
        for start in range(0, len(texts[0]), batch_size):
            first, *second = (list(values[start : start + batch_size]) for values in texts)
            cut, _ = tokenise(tokenizer, first, second[0] if second else None, length, truncation)
            read += cut["input_ids"]
            inputs = tokenizer.pad(cut, padding=True, return_tensors="pt")
            with refusing_damage(folder):
                parts.append(model(**inputs).logits.float().numpy().reshape(-1, len(names)))
    _warn_of_unknown(unknown_share(tokenizer, list(chain.from_iterable(read))))
    return np.concatenate(parts), names


def _warn_of_unknown(share: float) -> None:
    """Say that the texts are in words that the model does not know."""
    from seedlab.tasks.unknown_tokens import WARNED

    if share >= WARNED:
        sys.stderr.write(
            f"seedlab: {share:.1%} of the tokens are unknown to the model's tokenizer, which puts one "
            "and the same symbol in their place: the predictions say little about these texts.\n"
        )


def _texts(rows: Rows, column: str) -> list[str]:
    """Return a column whose every cell is a text."""
    from seedlab.tasks.readers.table_files import refuse_half_characters

    refuse_half_characters(rows, column)
    for index, value in enumerate(rows.columns[column]):
        if not isinstance(value, str):
            raise SeedlabError(
                f"{rows.place(index, column)}: {value!r} is not text; every row must have a text."
            )
    return list(rows.columns[column])


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


VERB = CommandVerb("score a file with a saved model", _predict, _add_arguments)
