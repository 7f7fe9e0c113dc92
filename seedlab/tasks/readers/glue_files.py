"""The GLUE tasks, from their original files or from the hub.

The files differ: MRPC begins with a byte-order mark, CoLA has no header, none of them
has quoting (a quotation mark is a character), columns are found by name where there is a
header. The published test files have no labels, so there is no ``test`` split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seedlab.errors import SeedlabError, nearest
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.raw import RawSplit, RawTask, Source
from seedlab.tasks.readers.table_files import read_bytes, read_text

_ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Layout:
    """How one GLUE task is stored.

    Parameters
    ----------
    folder : str
        Name of its folder in the original download.
    text, pair : str
        Column names; no `pair` for single sentences.
    label : str
        Column of the label or target.
    names : tuple of str
        Names of the classes in the hub's order; empty for regression.
    metrics : tuple of str
        GLUE's own first.
    words : tuple of str
        How the file writes the classes, in order; default: ``0``, ``1``, ...
    columns : tuple of str
        Names for the columns of a file without a header.
    splits : mapping of str to str
        Split to (file without ``.tsv``, which is also the hub's name but for ``dev``).
    gaps : bool
        Whether the published file has broken rows, which everyone leaves out.
    """

    folder: str
    text: str
    pair: str | None
    label: str
    names: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    words: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "dev": "dev"})
    gaps: bool = False


_F1 = ("accuracy_f1_mean", "accuracy", "f1")
GLUE: dict[str, Layout] = {
    "cola": Layout(
        "CoLA",
        "sentence",
        None,
        "label",
        ("unacceptable", "acceptable"),
        ("matthews", "accuracy"),
        columns=("source", "label", "judgement", "sentence"),
    ),
    "sst2": Layout("SST-2", "sentence", None, "label", ("negative", "positive")),
    "mrpc": Layout(
        "MRPC", "#1 String", "#2 String", "Quality", ("not_equivalent", "equivalent"), _F1
    ),
    "qqp": Layout(
        "QQP",
        "question1",
        "question2",
        "is_duplicate",
        ("not_duplicate", "duplicate"),
        _F1,
        gaps=True,
    ),
    "stsb": Layout(
        "STS-B",
        "sentence1",
        "sentence2",
        "score",
        (),
        ("pearson_spearman_mean", "pearson", "spearman"),
    ),
    "mnli": Layout(
        "MNLI",
        "sentence1",
        "sentence2",
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        words=("entailment", "neutral", "contradiction"),
        splits={"train": "train", "dev": "dev_matched", "dev_mismatched": "dev_mismatched"},
    ),
    "qnli": Layout("QNLI", "question", "sentence", "label", _ENTAILMENT, words=_ENTAILMENT),
    "rte": Layout("RTE", "sentence1", "sentence2", "label", _ENTAILMENT, words=_ENTAILMENT),
    "wnli": Layout("WNLI", "sentence1", "sentence2", "label", _ENTAILMENT[::-1]),
}


def glue_layout(name: str) -> Layout:
    """Return the layout of a GLUE task, refusing an unknown name."""
    if name not in GLUE:
        raise SeedlabError(
            f"task.name={name} is not a GLUE task; allowed with task.reader=glue: "
            f"{', '.join(GLUE)}.{nearest(name, GLUE)}"
        )
    return GLUE[name]


def glue_source(spec: TaskSpec) -> Source:
    """Return the source of a GLUE task in a folder of its original files.

    Parameters
    ----------
    spec : TaskSpec
        `path` is the folder of the files, of the task's folder (``RTE``), or of that in a
        folder ``glue``.

    Raises
    ------
    SeedlabError
        When the files are not there.
    """
    layout = glue_layout(spec.name)
    folder = _folder(Path(spec.path or ".").expanduser(), layout)
    files = {split: folder / f"{stem}.tsv" for split, stem in layout.splits.items()}
    digest = hashlib.sha256()
    for path in files.values():
        content = read_bytes(path)
        digest.update(f"{len(content)}/".encode())
        digest.update(content)

    def read() -> RawTask:
        splits = {split: read_glue_file(layout, path) for split, path in files.items()}
        return RawTask(splits, layout.names, layout.metrics)

    return Source(f"glue/{spec.name}/{digest.hexdigest()}", read)


def _folder(root: Path, layout: Layout) -> Path:
    """Return the folder of the task's files in what the user named."""
    first = f"{next(iter(layout.splits.values()))}.tsv"
    for folder in (root / layout.folder, root / "glue" / layout.folder, root):
        if (folder / first).is_file():
            return folder
    raise SeedlabError(
        f"task.path={root} holds no {layout.folder}/{first}; it must be the folder of the original "
        f"GLUE files, or the one that has {layout.folder} in it. Without task.path the task is taken "
        "from the hub."
    )


def read_glue_file(layout: Layout, path: Path) -> RawSplit:
    """Read one original file.

    Raises
    ------
    SeedlabError
        Naming the line of the first thing that is wrong.
    """
    # Lines end at line feeds alone: some texts hold other Unicode line separators.
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    names = layout.columns or tuple(lines[0].split("\t"))
    wanted = [name for name in (layout.text, layout.pair, layout.label) if name is not None]
    for name in wanted:
        if name not in names:
            raise SeedlabError(
                f"{path} has no column '{name}'; its columns are {', '.join(names)}."
                f"{nearest(name, names)} Use the original GLUE files."
            )
    places = [names.index(name) for name in wanted]
    texts: list[str] = []
    pairs: list[str] = []
    labels: list[float] = []
    start = 0 if layout.columns else 1
    for number, line in enumerate(lines[start:], start=start + 1):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(names):
            if layout.gaps:
                continue
            raise SeedlabError(
                f"{path}, line {number} has {len(cells)} columns and must have {len(names)}; use the "
                "original GLUE file, unquoted and tab-separated."
            )
        *sentences, label = (cells[place] for place in places)
        texts.append(sentences[0])
        pairs += sentences[1:]
        labels.append(_label(layout, label, path, number))
    if not texts:
        raise SeedlabError(f"{path} has no examples; a split needs at least one.")
    return RawSplit(
        tuple(texts),
        tuple(pairs) if layout.pair else None,
        tuple(int(v) for v in labels) if layout.names else tuple(labels),
    )


def _label(layout: Layout, text: str, path: Path, number: int) -> float:
    place = f"{path}, line {number}, column '{layout.label}'"
    if not layout.names:
        try:
            score = float(text)
        except ValueError:
            score = -1.0
        if not 0.0 <= score <= 5.0:
            raise SeedlabError(
                f"{place}: expected a score from 0 to 5, got '{text}'; use the original GLUE file."
            )
        return score
    words = layout.words or tuple(str(i) for i in range(len(layout.names)))
    if text not in words:
        raise SeedlabError(
            f"{place}: label '{text}' is none of {', '.join(words)}.{nearest(text, words)} Use the "
            "original GLUE train and dev files (the test files have no labels)."
        )
    return words.index(text)
