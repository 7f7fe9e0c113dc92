"""Every reader of the registry passes the suite, and the presets name readers that exist."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from seedlab.config.checks import check_run
from seedlab.errors import SeedlabError
from seedlab.paths import conf_folder
from seedlab.spec.run import RunSpec, TaskSpec
from seedlab.tasks.readers.glue_tasks import GLUE
from seedlab.tasks.readers.raw import RawSplit, RawTask
from seedlab.tasks.registry import READERS
from tests.suites.reader import ReaderSuite

PRESETS = {
    path.stem: yaml.safe_load(path.read_text()) for path in (conf_folder() / "task").glob("*.yaml")
}


class TestEmbedded(ReaderSuite):
    reader = READERS["embedded"]

    def spec(self, folder: Path) -> TaskSpec:
        return TaskSpec(examples=2, dev_examples=1, noise=0.0)

    def expected(self) -> RawTask:
        train = RawSplit(
            (
                "poems these do not corrode .",
                "drivers several in the bike have misplaced every letter beside my beach .",
            ),
            None,
            (0, 0),
        )
        dev = RawSplit(
            (
                "those bunnies that the robbers accuse will never assault the lion beside the lake "
                "near the famous gardens tomorrow .",
            ),
            None,
            (1,),
        )
        return RawTask(
            {"train": train, "dev": dev},
            ("unacceptable", "acceptable"),
            ("accuracy", "matthews"),
        )

    def changed(self, folder: Path) -> TaskSpec:
        return dataclasses.replace(self.spec(folder), noise=0.999)

    def refusals(self, folder: Path) -> dict[str, tuple[TaskSpec, str]]:
        return {
            "unknown name": (
                TaskSpec(name="similar"),
                r"task.name=similar is not an embedded task; allowed .*Did you mean 'similarity'",
            )
        }


class TestGlueFiles(ReaderSuite):
    reader = READERS["glue"]

    def write(
        self, folder: Path, label: str = "entailment", dev: str = "0\tc\td\tentailment\n"
    ) -> TaskSpec:
        header = "index\tsentence1\tsentence2\tlabel\n"
        (folder / "RTE").mkdir(parents=True)
        (folder / "RTE" / "train.tsv").write_text(
            f"{header}0\ta\tb\t{label}\n1\te\tf\tnot_entailment\n"
        )
        (folder / "RTE" / "dev.tsv").write_text(header + dev)
        return TaskSpec(name="rte", reader="glue", path=str(folder))

    def spec(self, folder: Path) -> TaskSpec:
        return self.write(folder)

    def expected(self) -> RawTask:
        train, dev = RawSplit(("a", "e"), ("b", "f"), (0, 1)), RawSplit(("c",), ("d",), (0,))
        return RawTask(
            {"train": train, "dev": dev}, ("entailment", "not_entailment"), ("accuracy",)
        )

    def changed(self, folder: Path) -> TaskSpec:
        return self.write(folder, label="not_entailment")

    def refusals(self, folder: Path) -> dict[str, tuple[TaskSpec, str]]:
        lacking = self.write(folder / "lacking")
        (folder / "lacking" / "RTE" / "dev.tsv").unlink()
        return {
            "missing file": (lacking, r"dev.tsv does not exist; task.path must name the folder"),
            "empty split": (
                self.write(folder / "empty", dev=""),
                r"dev.tsv has no examples; a split needs at least one",
            ),
            "unknown label": (
                self.write(folder / "label", label="entails"),
                r"train.tsv, line 2, column 'label': label 'entails' is none of entailment, not_e",
            ),
        }


class TestTable(ReaderSuite):
    reader = READERS["table"]

    def write(self, folder: Path, label: str = "no", dev: str = "c,yes\n") -> TaskSpec:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.csv").write_text(f"text,label\na,{label}\nb,yes\nd,no\n")
        (folder / "dev.csv").write_text("text,label\n" + dev)
        return TaskSpec(
            name="own",
            reader="table",
            path=str(folder),
            train_file="train.csv",
            dev_file="dev.csv",
            text="text",
            label="label",
        )

    def spec(self, folder: Path) -> TaskSpec:
        return self.write(folder)

    def expected(self) -> RawTask:
        return RawTask(
            {
                "train": RawSplit(("a", "b", "d"), None, (0, 1, 0)),
                "dev": RawSplit(("c",), None, (1,)),
            },
            ("no", "yes"),
            ("accuracy", "f1", "matthews"),
        )

    def changed(self, folder: Path) -> TaskSpec:
        return self.write(folder, label="yes")

    def refusals(self, folder: Path) -> dict[str, tuple[TaskSpec, str]]:
        spec = self.write(folder / "whole")
        return {
            "missing file": (
                dataclasses.replace(spec, dev_file="def.csv"),
                r"def.csv does not exist; task.path must name .* Did you mean 'dev.csv'",
            ),
            "empty split": (self.write(folder / "empty", dev=""), r"dev.csv has no rows; a split"),
            "unknown label": (
                self.write(folder / "label", dev="c,yess\n"),
                r"dev.csv, line 2, column 'label': label 'yess' is none of the 2 allowed, no, yes "
                r"\(the labels of the training file\). Did you mean 'yes'",
            ),
            "missing setting": (
                dataclasses.replace(spec, label=None),
                r"task.label is not set; with task.reader=table it must name the column",
            ),
        }


def test_every_reader_has_a_suite() -> None:
    suites = (TestEmbedded, TestGlueFiles, TestTable)
    assert [suite.reader.name for suite in suites] == list(READERS)


def test_every_preset_names_a_reader() -> None:
    assert {values["reader"] for values in PRESETS.values()} == set(READERS)


def test_every_glue_task_has_a_preset() -> None:
    presets = {name for name, values in PRESETS.items() if values["reader"] == "glue"}
    assert presets == set(GLUE)
    assert all(PRESETS[name]["name"] == name for name in presets)


@pytest.mark.parametrize("name", GLUE)
def test_every_glue_task_is_read_from_its_original_files(name: str, tmp_path: Path) -> None:
    """One row per class, or two scores, in the layout that the table of tasks states."""
    task = GLUE[name]
    n = len(task.label_names)
    written = task.file_labels or tuple(map(str, range(n))) if n else ("0.0", "4.5")
    names = task.header or ("index", *task.columns, task.label)
    rows = []
    for number, label in enumerate(written):
        cells = {column: f"{column} {number}" for column in task.columns} | {task.label: label}
        rows.append("\t".join(cells.get(column, "-") for column in names))
    (tmp_path / task.folder).mkdir()
    for stem in task.splits.values():
        lines = rows if task.header else ["\t".join(names), *rows]
        (tmp_path / task.folder / f"{stem}.tsv").write_text("\n".join(lines) + "\n")
    spec = TaskSpec(name=name, reader="glue", path=str(tmp_path))
    found = READERS["glue"].source(spec).read()
    assert set(found.splits) == set(task.splits)
    for split in found.splits.values():
        assert split.labels == (tuple(range(n)) if n else (0.0, 4.5))
        assert split.texts[0] == f"{task.columns[0]} 0"
        assert split.pairs is None or split.pairs[1] == f"{task.columns[1]} 1"


def test_refusal_of_a_setting_of_other_readers() -> None:
    """A setting that two readers use names both."""

    class Other:
        name, settings, path = "other", ("text",), "optional"

    spec = RunSpec(task=TaskSpec(text="a"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seedlab.config.checks.READERS", {**READERS, "other": Other()})
        with pytest.raises(
            SeedlabError,
            match=r"task.text=a has no effect on task 'acceptability': it is for tasks with "
            r"task.reader=table or task.reader=other, and this one has task.reader=embedded; leave",
        ):
            check_run(spec)


def test_a_table_without_its_settings_is_refused_before_anything_is_read() -> None:
    with pytest.raises(SeedlabError, match=r"task.train_file is not set; .*=train.csv"):
        check_run(RunSpec(task=TaskSpec(name="own", reader="table")))
