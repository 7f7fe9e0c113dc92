"""The hub's reader, with a stand-in for the download."""

from __future__ import annotations

import time
from typing import Any

import datasets
import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import TaskSpec
from seedlab.tasks.readers import glue_hub
from seedlab.tasks.registry import find_source


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the network."""
    monkeypatch.setattr(glue_hub, "unreachable", lambda *_: None)


def serve(monkeypatch: pytest.MonkeyPatch, tables: dict[str, dict[str, list[Any]]]) -> list[Any]:
    asked: list[Any] = []

    def load_dataset(*args: Any) -> dict[str, datasets.Dataset]:
        asked.append(args)
        return {split: datasets.Dataset.from_dict(table) for split, table in tables.items()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_a_single_sentence_task(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[str, list[Any]] = {"sentence": ["good", "bad"], "label": [1, 0], "idx": [0, 1]}
    unlabelled: dict[str, list[Any]] = {"sentence": ["odd"], "label": [-1], "idx": [0]}
    asked = serve(monkeypatch, {"train": table, "validation": table, "test": unlabelled})
    task = find_source(TaskSpec(name="sst2", reader="glue")).read()
    assert asked == [("nyu-mll/glue", "sst2")]
    assert list(task.splits) == ["train", "dev"]
    assert task.splits["dev"].texts == ("good", "bad")
    assert task.splits["dev"].labels == (1, 0)


def test_mnli(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(label: int) -> dict[str, list[Any]]:
        return {"premise": ["a"], "hypothesis": ["b"], "label": [label]}

    serve(
        monkeypatch,
        {"train": one(0), "validation_matched": one(1), "validation_mismatched": one(2)},
    )
    task = find_source(TaskSpec(name="mnli", reader="glue")).read()
    assert {split: rows.labels for split, rows in task.splits.items()} == {
        "train": (0,),
        "dev": (1,),
        "dev_mismatched": (2,),
    }
    assert task.splits["train"].pairs == ("b",)


def test_stsb_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[str, list[Any]] = {"sentence1": ["a"], "sentence2": ["b"], "label": [3.8]}
    serve(monkeypatch, {"train": table, "validation": table})
    task = find_source(TaskSpec(name="stsb", reader="glue")).read()
    assert task.splits["train"].labels == (3.8,)


def test_without_a_network_the_cache_alone_is_asked_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`datasets` itself, which would try six times in 28 s and log every time twice."""
    monkeypatch.setattr(glue_hub, "unreachable", lambda *_: "Name or service not known")
    start = time.monotonic()
    with pytest.raises(SeedlabError) as caught:
        glue_hub.read_hub("qnli")
    message = str(caught.value)
    assert "'qnli' could not be loaded from the hub: the hub does not answer (Name or" in message
    assert f"its cache {datasets.config.HF_DATASETS_CACHE} has no copy (nyu-mll/glue; " in message
    assert (
        "task.path=FOLDER. A copy of another machine's cache is used with HF_HUB_OFFLINE=1."
        in message
    )
    assert time.monotonic() - start < 5
    assert "Retry" not in caplog.text
    # What the cache holds is taken from there.
    table: dict[str, list[Any]] = {"sentence1": ["a"], "sentence2": ["b"], "label": [1]}
    serve(monkeypatch, {"train": table, "validation": table})
    assert glue_hub.read_hub("rte").splits["dev"].labels == (1,)


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*args: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        SeedlabError,
        match=r"task 'rte' could not be loaded.*ConnectionError: no route.*task.path=FOLDER",
    ):
        find_source(TaskSpec(name="rte", reader="glue")).read()
