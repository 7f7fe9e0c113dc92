"""A reader of folders of texts: ``train/positive/1.txt``, as the IMDB reviews are stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seedlab.errors import SeedlabError, nearest
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers.raw import RawSplit, RawTask, Source
from seedlab.tasks.readers.reader import PathUse
from seedlab.tasks.readers.table_files import read_text


class TextFolderReader:
    """Reads one text per file; the folder of a file is its label."""

    name = "text_folders"
    settings = ("labels",)
    path: PathUse = "working folder"

    def check(self, spec: TaskSpec) -> None:
        """Refuse a task without names of its classes."""
        if spec.labels is None or len(spec.labels) < 2:
            raise SeedlabError(
                f"task.labels={spec.labels} names fewer than two classes; task.reader=text_folders "
                "needs the names of the folders, for example task.labels=[negative,positive]."
            )

    def source(self, spec: TaskSpec) -> Source:
        """Return the files, identified by their folders and contents."""
        labels = spec.labels or ()
        files = {split: _files(Path(spec.path or ".") / split, labels) for split in _SPLITS}
        digest = hashlib.sha256(repr(labels).encode())
        for path, label in (file for split in _SPLITS for file in files[split]):
            digest.update(f"{path.parts[-3]}/{label}/{path.stat().st_size}/".encode())
            digest.update(path.read_bytes())

        def read() -> RawTask:
            splits = {split: _read(found) for split, found in files.items()}
            return RawTask(splits, labels, ("accuracy",))

        return Source(f"text_folders/{digest.hexdigest()}", read)


_SPLITS = ("train", "dev")


def _files(folder: Path, labels: tuple[str, ...]) -> list[tuple[Path, int]]:
    if not folder.is_dir():
        raise SeedlabError(f"{folder} does not exist; task.path must hold the folders train, dev.")
    for found in sorted(folder.iterdir()):
        if found.name not in labels:
            raise SeedlabError(
                f"{found} is none of the labels {', '.join(labels)} (task.labels)."
                f"{nearest(found.name, labels)} Rename the folder, or name it in task.labels."
            )
    files = [
        (path, number)
        for number, label in enumerate(labels)
        for path in sorted((folder / label).glob("*.txt"))
    ]
    if not files:
        raise SeedlabError(f"{folder} has no *.txt files; a split needs at least one example.")
    return files


def _read(files: list[tuple[Path, int]]) -> RawSplit:
    texts = tuple(read_text(path) for path, _ in files)
    return RawSplit(texts, None, tuple(label for _, label in files))
