"""The example of a GLUE-like task: a table entry and a preset are all that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from seedlab.config.checks import check_run
from seedlab.spec.run import RunSpec, TaskSpec
from seedlab.tasks.readers import glue_tasks
from seedlab.tasks.registry import find_source
from tests.examples.subj import SUBJ

PRESET = yaml.safe_load((Path(__file__).parent / "subj.yaml").read_text())


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(glue_tasks.GLUE, "subj", SUBJ)


def test_it_is_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "SUBJ").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "SUBJ" / f"{split}.tsv").write_text(
            "sentence\tlabel\nI cried .\t1\nHe left .\t0\n"
        )
    spec = TaskSpec(**PRESET, path=str(tmp_path))
    check_run(RunSpec(task=spec))
    task = find_source(spec).read()
    assert task.splits["train"].texts == ("I cried .", "He left .")
    assert task.splits["dev"].labels == (1, 0)
    assert task.label_names == ("objective", "subjective")
    assert task.metrics == ("accuracy", "matthews")


def test_it_is_read_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the download; the hub has another name for the column."""
    asked: list[Any] = []

    def load_dataset(*names: Any) -> dict[str, datasets.Dataset]:
        asked.append(names)
        table = datasets.Dataset.from_dict({"text": ["I cried ."], "label": [1]})
        return {"train": table, "validation": table}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = find_source(TaskSpec(**PRESET)).read()
    assert asked == [("SetFit/subj", "subj")]
    assert task.splits["train"].texts == ("I cried .",)
