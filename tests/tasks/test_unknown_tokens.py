"""The share of unknown tokens: counted at encoding, kept in the cache, warned of and refused."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from seedlab.errors import SeedlabError
from seedlab.spec.run import RunSpec, TaskSpec
from seedlab.tasks.cache import read_cached, write_cached
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.tasks.load import load_task
from seedlab.tasks.tokenise import load_tokenizer
from seedlab.tasks.unknown_tokens import check_unknown, unknown_share, unknown_text


def task_of(tokenizer: Path, place: Path, cache: Path | None = None) -> EncodedTask:
    """A table whose words the tokenizer knows but for 3 of 9 in train, and for 1 of 10 in dev."""
    (place / "train.csv").write_text("text,label\nthe dog frobs,0\nzorks a cat,1\nit is glum,1\n")
    (place / "dev.csv").write_text("text,label\nthe dog sleeps on it,0\na cat barks over wug,1\n")
    spec = TaskSpec(
        name="own",
        reader="table",
        path=str(place),
        train_file="train.csv",
        dev_file="dev.csv",
        text="text",
        label="label",
        max_length=16,
    )
    return load_task(spec, tokenizer=tokenizer, max_positions=64, subsample_seed=0, cache_dir=cache)


def made(dev: float, train: float = 0.0, name: str = "made") -> EncodedTask:
    empty = np.zeros(0, dtype=np.int32)
    splits = {
        split: Split(
            empty, empty.astype(np.int8), np.zeros(1, np.int64), np.zeros(0, np.int64), 0, u
        )
        for split, u in (("train", train), ("dev", dev))
    }
    return EncodedTask(name, splits, 2, ("a", "b"), ("accuracy",), 0, 16)


def test_special_tokens_are_not_counted_and_the_cache_keeps_the_shares(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    task = task_of(tokenizer_folder, tmp_path, tmp_path / "cache")
    assert task.splits["train"].unknown == pytest.approx(3 / 9)
    assert task.splits["dev"].unknown == pytest.approx(1 / 10)
    [file] = (tmp_path / "cache" / "tasks").iterdir()
    again = read_cached(file, "own")
    assert again is not None
    assert {n: s.unknown for n, s in again.splits.items()} == {
        n: s.unknown for n, s in task.splits.items()
    }
    # The shares are no content: the data keep their hash, and runs their names.
    bare = {n: dataclasses.replace(s, unknown=0.0) for n, s in task.splits.items()}
    assert dataclasses.replace(task, splits=bare).content_hash() == task.content_hash()


def test_a_cache_of_an_earlier_release_is_made_again(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tokenizer_folder, tmp_path)
    path = tmp_path / "old.npz"
    with monkeypatch.context() as patched:
        whole = json.dumps
        patched.setattr(
            "seedlab.tasks.cache.json.dumps",
            lambda meta: whole({k: v for k, v in meta.items() if k != "unknown"}),
        )
        write_cached(path, task)
    assert path.is_file()
    assert read_cached(path, "own") is None
    write_cached(path, task)
    assert read_cached(path, "own") is not None


def test_a_tokenizer_without_an_unknown_token_knows_everything(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    ids = tokenizer(["zork the", "glum"])["input_ids"]
    assert unknown_share(tokenizer, [number for row in ids for number in row]) == pytest.approx(
        2 / 3
    )
    assert unknown_share(tokenizer, []) == 0.0
    # Byte-level tokenizers have none; GPT-2 names its end of text.
    ends = {"bos_token_id": 3, "eos_token_id": 3, "pad_token_id": None, "all_special_ids": [3]}
    for unknown in (None, 3):
        assert unknown_share(SimpleNamespace(unk_token_id=unknown, **ends), [3, 3, 1]) == 0.0


@pytest.mark.parametrize(("dev", "train"), [(0.3, 0.0), (0.01, 0.62), (1.0, 1.0)])
def test_from_30_per_cent_on_a_task_is_refused_unless_told(
    dev: float, train: float, caplog: pytest.LogCaptureFixture
) -> None:
    task = made(dev, train, f"refused {dev}")
    with pytest.raises(SeedlabError) as caught:
        check_unknown(task, "embedded", False)
    message = str(caught.value)
    assert f"{dev:.1%} of the dev tokens and {train:.1%} of the train tokens are unknown" in message
    assert "model=bert-base-uncased, model.path=FOLDER" in message
    assert "the embedded encoder knows the words of the embedded tasks alone" in message
    assert message.endswith("task.allow_unknown_tokens=true trains all the same.")
    with caplog.at_level(logging.WARNING):
        check_unknown(task, "embedded", True)
    assert f"{train:.1%} of the train tokens are unknown to the tokenizer" in caplog.text


@pytest.mark.parametrize(("share", "warned"), [(0.0, 0), (0.049, 0), (0.05, 1), (0.299, 1)])
def test_from_5_per_cent_on_there_is_one_warning(
    share: float, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    task = made(share, name=f"warned {share}")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            check_unknown(task, "other", False)
    assert len(caplog.records) == warned
    assert "embedded encoder" not in caplog.text


def test_the_splits_are_told_in_an_order_of_their_own() -> None:
    task = made(0.5, 0.25)
    more = dataclasses.replace(task, splits={"test": made(0.1).splits["dev"], **task.splits})
    assert unknown_text(more) == (
        "50.0% of the dev tokens, 25.0% of the train tokens and 10.0% of the test tokens"
    )


def test_the_permission_names_no_other_run() -> None:
    """A study that was begun before there was a refusal continues with the permission."""
    allowed = RunSpec(task=TaskSpec(allow_unknown_tokens=True))
    assert allowed.run_id == RunSpec().run_id
    assert RunSpec.from_dict(allowed.to_dict()).task.allow_unknown_tokens
