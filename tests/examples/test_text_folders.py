"""The example of a reader: it passes the suite and trains through the registry."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from seedlab.config.checks import check_run
from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import locate
from seedlab.spec.run import RunSpec, TaskSpec
from seedlab.tasks import registry
from seedlab.tasks.load import load_task
from seedlab.tasks.readers.raw import RawSplit, RawTask
from tests.examples.text_folders import TextFolderReader
from tests.suites.reader import ReaderSuite


class TestTextFolders(ReaderSuite):
    reader = TextFolderReader()

    def spec(self, folder: Path) -> TaskSpec:
        for name, text in (("train/no/1", "bad"), ("train/yes/1", "good"), ("dev/yes/1", "fine")):
            path = folder / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        labels = ("no", "yes")
        return TaskSpec(name="own", reader="text_folders", path=str(folder), labels=labels)

    def expected(self) -> RawTask:
        splits = {
            "train": RawSplit(("bad", "good"), None, (0, 1)),
            "dev": RawSplit(("fine",), None, (1,)),
        }
        return RawTask(splits, ("no", "yes"), ("accuracy",))

    def changed(self, folder: Path) -> TaskSpec:
        spec = self.spec(folder)
        (folder / "train/no/1.txt").rename(folder / "train/yes/0.txt")
        return spec

    def refusals(self, folder: Path) -> dict[str, tuple[TaskSpec, str]]:
        spec, empty, other = (self.spec(folder / name) for name in ("whole", "empty", "other"))
        (folder / "empty/dev/yes/1.txt").unlink()
        (folder / "other/dev/yes").rename(folder / "other/dev/yess")
        return {
            "missing file": (
                dataclasses.replace(spec, path=str(folder / "none")),
                r"none/train does not exist; task.path must hold the folders train, dev",
            ),
            "empty split": (empty, r"dev has no \*.txt files; a split needs at least one"),
            "unknown label": (
                other,
                r"dev/yess is none of the labels no, yes .*Did you mean 'yes'",
            ),
            "missing setting": (
                dataclasses.replace(spec, labels=None),
                r"task.labels=None names fewer than two classes; .*task.labels=\[negative,positive\]",
            ),
        }


def test_the_registry_is_all_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks know its settings, and its task is tokenised like every other."""
    monkeypatch.setitem(registry.READERS, "text_folders", TextFolderReader())
    spec = TestTextFolders().spec(tmp_path / "data")
    check_run(RunSpec(task=spec))
    with pytest.raises(SeedlabError, match=r"task.text=a has no effect on task 'own'"):
        check_run(RunSpec(task=dataclasses.replace(spec, text="a")))
    task = load_task(
        spec,
        tokenizer=locate("embedded", None),
        max_positions=128,
        subsample_seed=0,
        cache_dir=tmp_path / "cache",
    )
    assert len(task.splits["train"]) == 2
    assert task.splits["dev"].labels.tolist() == [1]
    assert task.label_names == ("no", "yes")
