"""The texts of the scored examples as a table, for readers of predictions.

A study records no texts, so the task's data are read again. The table is written where it is
asked for alone: not everybody may pass the data on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of
from seedlab.store.atomic_files import FULL, disk_full, replace_file
from seedlab.tasks.registry import find_source
from seedlab.tasks.splits import resplit

if TYPE_CHECKING:
    from seedlab.store.record import Record
    from seedlab.store.study import StudyFolder
    from seedlab.tasks.readers.raw import RawSplit

FILE = "examples.csv"
COLUMNS = ("task", "split", "example", "label", "text", "pair")


def example_texts(study: StudyFolder) -> bytes:
    """Return a CSV table with a row for each example that the study's runs were scored on.

    Parameters
    ----------
    study : StudyFolder

    Returns
    -------
    bytes
        The columns `COLUMNS`. ``example`` and ``label`` are those of the table `predictions`;
        ``pair`` is empty for single texts.

    Raises
    ------
    SeedlabError
        When the data are gone or have changed, or runs of one task were scored on different
        examples.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for task, split, examples in _scored(study.records().values()):
        pairs = examples.pairs or ("",) * len(examples.texts)
        rows = zip(examples.labels, examples.texts, pairs, strict=True)
        writer.writerows([task, split, number, *row] for number, row in enumerate(rows))
    return text.getvalue().encode()


def write_examples(folder: Path, table: bytes) -> None:
    """Write the table of `example_texts` to a folder of tables."""
    try:
        replace_file(folder / FILE, table)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, "writing the examples", error) from error
        raise


def refuse_extended(folder: Path) -> None:
    """Refuse to replace a file of examples that has other columns: someone added clusters.

    Raises
    ------
    SeedlabError
        Naming the file and the remedies.
    """
    path = folder / FILE
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().strip().split(",")
    if header != [*COLUMNS]:
        raise SeedlabError(
            f"{path} has other columns than {', '.join(COLUMNS)}; it is not replaced. Name another "
            "folder with --out, move the file, or replace it with --overwrite."
        )


def _scored(records: Iterable[Record]) -> Iterator[tuple[str, str, RawSplit]]:
    """The scored split of each task, read once for all runs of the same data."""
    known: dict[str, tuple[str, RawSplit]] = {}
    seen = set()
    for record in records:
        run = record.run_spec()
        if (run.task, run.data_hash, record.split) in seen:
            continue
        seen.add((run.task, run.data_hash, record.split))
        load_task_of(run)  # refuses data that have changed
        examples = resplit(find_source(run.task).read(), run.task).splits[record.split]
        before = known.setdefault(run.task.name, (record.split, examples))
        if before != (record.split, examples):
            raise SeedlabError(
                f"runs of task '{run.task.name}' were scored on different examples (folds or other "
                "data), so an example's number has several texts. Give each its own task.name, or "
                "leave out --examples."
            )
    for task, (split, examples) in known.items():
        yield task, split, examples
