"""The GLUE tasks, from their original files.

The files of MRPC begin with a byte-order mark, those of CoLA have no header. None of them has
quoting: a quotation mark is a character. Columns are found by name where there is a header.
The published test files have no labels, so that there is no ``test`` split.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from seedlab.errors import SeedlabError, nearest
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.glue_tasks import GlueTask, glue_task
from seedlab.tasks.readers.raw import RawSplit, RawTask, Source
from seedlab.tasks.readers.table_files import read_bytes, read_text


def glue_source(spec: TaskSpec) -> Source:
    """Return the source of a GLUE task in a folder of its original files.

    Parameters
    ----------
    spec : TaskSpec
        `path` is the folder of the files, or one that holds ``RTE`` or ``glue/RTE``.

    Raises
    ------
    SeedlabError
        When a file does not exist.
    """
    task = glue_task(spec.name)
    folder = _folder(Path(spec.path or ".").expanduser(), task)
    files = {split: folder / f"{stem}.tsv" for split, stem in task.splits.items()}
    digest = hashlib.sha256()
    for path in files.values():
        content = read_bytes(path)
        digest.update(f"{len(content)}/".encode())
        digest.update(content)

    def read() -> RawTask:
        splits = {split: read_glue_file(task, path) for split, path in files.items()}
        return RawTask(splits, task.label_names, task.metrics)

    return Source(f"glue/{spec.name}/{digest.hexdigest()}", read)


def _folder(root: Path, task: GlueTask) -> Path:
    """Return the folder of the task's files: `root` or a folder inside it."""
    first = f"{next(iter(task.splits.values()))}.tsv"
    for folder in (root / task.folder, root / "glue" / task.folder, root):
        if (folder / first).is_file():
            return folder
    raise SeedlabError(
        f"task.path={root} holds no {task.folder}/{first}; it must be the folder of the original "
        f"GLUE files, or the one that has {task.folder} in it. Without task.path the task is taken "
        "from the hub."
    )


def read_glue_file(task: GlueTask, path: Path) -> RawSplit:
    """Read one original file.

    Raises
    ------
    SeedlabError
        At the first wrong line; the message has its number.
    """
    # Lines end at line feeds alone: some texts hold other Unicode line separators.
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    names = task.header or tuple(lines[0].split("\t"))
    wanted = (*task.columns, task.label)
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
    start = 0 if task.header else 1
    for number, line in enumerate(lines[start:], start=start + 1):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(names):
            if task.skips_broken_rows:
                continue
            raise SeedlabError(
                f"{path}, line {number} has {len(cells)} columns and must have {len(names)}; use the "
                "original GLUE file, unquoted and tab-separated."
            )
        *sentences, label = (cells[place] for place in places)
        texts.append(sentences[0])
        pairs += sentences[1:]
        labels.append(_label(task, label, path, number))
    if not texts:
        raise SeedlabError(f"{path} has no examples; a split needs at least one.")
    return RawSplit(
        tuple(texts),
        tuple(pairs) if len(task.columns) == 2 else None,
        tuple(labels) if task.is_regression else tuple(int(v) for v in labels),
    )


def _label(task: GlueTask, text: str, path: Path, number: int) -> float:
    place = f"{path}, line {number}, column '{task.label}'"
    if task.is_regression:
        try:
            score = float(text)
        except ValueError:
            score = -1.0
        if not 0.0 <= score <= 5.0:
            raise SeedlabError(
                f"{place}: expected a score from 0 to 5, got '{text}'; use the original GLUE file."
            )
        return score
    allowed = task.file_labels or tuple(str(i) for i in range(len(task.label_names)))
    if text not in allowed:
        raise SeedlabError(
            f"{place}: label '{text}' is none of {', '.join(allowed)}.{nearest(text, allowed)} Use the "
            "original GLUE train and dev files (the test files have no labels)."
        )
    return allowed.index(text)
