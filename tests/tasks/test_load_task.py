"""`load_task`: tokenisation, truncation, the cache, the metric and the subset."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedlab.errors import SeedlabError
from seedlab.randomness.streams import permutation
from seedlab.spec.run import TaskSpec
from seedlab.tasks import cache, load
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.load import load_task

ROWS = ["the dog sleeps,a cat,0", "it is good,bad,1", "a quick brown fox jumps,the lazy dog,1"]


@pytest.fixture
def spec(tmp_path: Path) -> TaskSpec:
    (tmp_path / "d.csv").write_text("text,other,label\n" + "\n".join(ROWS) + "\n")
    return TaskSpec(
        name="own",
        reader="table",
        path=str(tmp_path),
        train_file="d.csv",
        dev_file="d.csv",
        text="text",
        label="label",
        max_length=16,
    )


def get(spec: TaskSpec, tokenizer: Path, cache_dir: Path | None = None, **more: Any) -> EncodedTask:
    settings: dict[str, Any] = {"max_positions": 128, "subsample_seed": 0, **more}
    return load_task(spec, tokenizer=tokenizer, cache_dir=cache_dir, **settings)


def rows(task: EncodedTask, split: str = "train") -> list[list[int]]:
    found = task.splits[split]
    return [part.tolist() for part in np.split(found.ids, found.offsets[1:-1])]


def test_ragged_ids_types_and_labels_of_a_pair(spec: TaskSpec, tokenizer_folder: Path) -> None:
    task = get(dataclasses.replace(spec, text_pair="other"), tokenizer_folder)
    split = task.splits["train"]
    # [CLS] the dog sleeps [SEP] a cat [SEP]; the words' ids follow five special tokens.
    assert rows(task)[0] == [2, 5, 7, 9, 3, 6, 8, 3]
    assert split.types[:8].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert split.offsets.tolist() == [0, 8, 15, 26]
    assert split.labels.tolist() == [0, 1, 1]
    dtypes = [str(array.dtype) for array in (split.ids, split.types, split.offsets)]
    assert dtypes == ["int32", "int8", "int64"]
    assert (task.pad_id, task.n_labels, task.max_length, task.name) == (0, 2, 16, "own")
    assert split.truncated == 0


def test_types_are_zero_where_the_tokenizer_has_none(spec: TaskSpec, untyped_folder: Path) -> None:
    task = get(dataclasses.replace(spec, text_pair="other"), untyped_folder)
    assert not task.splits["train"].types.any()


def test_texts_above_the_maximum_are_cut_and_counted(
    spec: TaskSpec, tokenizer_folder: Path
) -> None:
    # Lengths with special tokens: 5, 5, 7. The ones that just fit are not counted.
    task = get(dataclasses.replace(spec, max_length=5), tokenizer_folder)
    assert task.splits["train"].lengths.tolist() == [5, 5, 5]
    assert task.splits["train"].truncated == 1
    assert task.splits["dev"].truncated == 1


def test_of_a_pair_the_longer_text_is_cut_first(spec: TaskSpec, tokenizer_folder: Path) -> None:
    task = get(dataclasses.replace(spec, max_length=9, text_pair="other"), tokenizer_folder)
    split = task.splits["train"]
    assert split.lengths.tolist() == [8, 7, 9]
    assert split.truncated == 1
    third = rows(task)[2]
    assert third.index(3) == 4  # three words left of five, and all three of the second text
    assert third[5:] == [5, 18, 7, 3]


def test_refusal_of_a_maximum_above_the_positions(spec: TaskSpec, tokenizer_folder: Path) -> None:
    with pytest.raises(
        SeedlabError, match=r"task.max_length=16 is above the 12 positions.*task.max_length=12"
    ):
        get(spec, tokenizer_folder, max_positions=12)


def test_refusal_of_a_folder_without_a_tokenizer(spec: TaskSpec, tmp_path: Path) -> None:
    with pytest.raises(SeedlabError, match=r"has no tokenizer; expected tokenizer.json"):
        get(spec, tmp_path)


def test_refusal_of_a_broken_tokenizer(spec: TaskSpec, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(SeedlabError, match=r"tokenizer in .* could not be loaded .*AutoTokenizer"):
        get(spec, tmp_path)


def test_refusal_of_an_unknown_reader(tokenizer_folder: Path) -> None:
    with pytest.raises(SeedlabError, match=r"task.reader=glu is not known.*Did you mean 'glue'"):
        get(TaskSpec(reader="glu"), tokenizer_folder)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "bleu",
            r"task.metric=bleu is not known; allowed for task 'own' \(2 classes\).*accuracy, f1",
        ),
        ("rmse", r"task.metric=rmse can't score 2 classes; allowed.*accuracy, f1"),
    ],
)
def test_refusal_of_a_metric(
    spec: TaskSpec, tokenizer_folder: Path, metric: str, message: str
) -> None:
    with pytest.raises(SeedlabError, match=message):
        get(dataclasses.replace(spec, metric=metric), tokenizer_folder)


def test_another_primary_metric_is_the_same_data(
    spec: TaskSpec, tokenizer_folder: Path, tmp_path: Path
) -> None:
    plain = get(spec, tokenizer_folder, tmp_path / "cache")
    other = get(dataclasses.replace(spec, metric="matthews"), tokenizer_folder, tmp_path / "cache")
    assert plain.metrics == ("accuracy", "f1", "matthews")
    assert other.metrics == ("matthews", "accuracy", "f1")
    assert plain.content_hash() == other.content_hash()
    assert len(list((tmp_path / "cache" / "tasks").iterdir())) == 1


def test_a_cached_task_is_equal_and_not_read_again(
    spec: TaskSpec, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = get(spec, tokenizer_folder, tmp_path / "cache")
    monkeypatch.setattr(load, "encode_task", None)
    again = get(dataclasses.replace(spec, name="renamed"), tokenizer_folder, tmp_path / "cache")
    assert again.content_hash() == first.content_hash()
    assert again.name == "renamed"
    assert (again.metrics, again.label_names) == (first.metrics, first.label_names)


def test_changed_data_length_or_tokenizer_are_not_taken_from_the_cache(
    spec: TaskSpec, tokenizer_folder: Path, untyped_folder: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "cache"
    get(spec, tokenizer_folder, kept)
    get(dataclasses.replace(spec, max_length=8), tokenizer_folder, kept)
    get(spec, untyped_folder, kept)
    (tmp_path / "d.csv").write_text("text,other,label\na dog,b,0\na cat,b,1\n")
    assert len(get(spec, tokenizer_folder, kept).splits["train"]) == 2
    assert len(list((kept / "tasks").iterdir())) == 4


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "other"])
def test_a_damaged_cache_file_is_made_again(
    spec: TaskSpec, tokenizer_folder: Path, tmp_path: Path, damage: str
) -> None:
    kept = tmp_path / "cache"
    first = get(spec, tokenizer_folder, kept)
    (file,) = (kept / "tasks").iterdir()
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[content.index(first.splits["train"].ids.tobytes()) + 4] ^= 1
    broken = {"truncate": content[:-40], "flip": content, "empty": b"", "other": b"not a zip"}
    file.write_bytes(bytes(broken[damage]))
    assert cache.read_cached(file, "own") is None
    assert get(spec, tokenizer_folder, kept).content_hash() == first.content_hash()
    assert cache.read_cached(file, "own") is not None
    assert [path.name for path in (kept / "tasks").iterdir()] == [file.name]


def test_a_cache_file_can_be_read_by_whom_the_umask_allows(
    spec: TaskSpec, tokenizer_folder: Path, tmp_path: Path
) -> None:
    umask = os.umask(0o026)
    try:
        get(spec, tokenizer_folder, tmp_path / "cache")
    finally:
        os.umask(umask)
    (file,) = (tmp_path / "cache/tasks").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_pickle_in_the_cache_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, meta=np.array([object()], dtype=object))
    assert cache.read_cached(file, "own") is None


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(
    spec: TaskSpec, tokenizer_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(get(spec, tokenizer_folder, tmp_path / "cache").splits["train"]) == 3


@pytest.mark.data
def test_a_warm_cache_imports_no_tokenizer_library(data_folder: Path, tmp_path: Path) -> None:
    spec = TaskSpec(name="rte", reader="glue", path=str(data_folder / "data"))
    model = data_folder / "models" / "minilm-l6"
    get(spec, model, tmp_path, max_positions=512)
    task = get(spec, model, tmp_path, max_positions=512)
    code = (
        "import sys; from pathlib import Path; from seedlab.tasks.load import load_task;"
        "from seedlab.spec.run import TaskSpec;"
        f"t = load_task(TaskSpec(name='rte', reader='glue', path={spec.path!r}),"
        f"tokenizer={str(model)!r}, max_positions=512, subsample_seed=0,"
        f"cache_dir=Path({str(tmp_path)!r}));"
        "heavy = {'transformers', 'datasets', 'torch', 'pandas', 'sklearn'} & set(sys.modules);"
        "assert not heavy, heavy; print(t.content_hash())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == task.content_hash()


def test_the_same_content_in_another_process(tokenizer_folder: Path) -> None:
    names = ("acceptability", "paraphrase", "similarity")
    here = [
        get(
            TaskSpec(name=name, examples=40, dev_examples=20, train_size=20),
            tokenizer_folder,
            subsample_seed=1,
        ).content_hash()
        for name in names
    ]
    code = (
        "from seedlab.tasks.load import load_task; from seedlab.spec.run import TaskSpec;"
        "print([load_task(TaskSpec(name=n, examples=40, dev_examples=20, train_size=20),"
        f"tokenizer={str(tokenizer_folder)!r}, max_positions=None, subsample_seed=1,"
        f"cache_dir=None).content_hash() for n in {names}])"
    )
    # The parent's hash seed is another one, or the random one that is the default.
    made = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert made.stdout.strip() == str(here)


def test_the_subset_follows_the_subsample_seed(tokenizer_folder: Path, tmp_path: Path) -> None:
    spec = TaskSpec(examples=200, dev_examples=20, train_size=40)
    kept = tmp_path / "cache"
    first = get(spec, tokenizer_folder, kept)
    other = get(spec, tokenizer_folder, kept, subsample_seed=1)
    assert np.bincount(first.splits["train"].labels).tolist() == [20, 20]
    assert first.content_hash() != other.content_hash()
    assert get(spec, tokenizer_folder, kept).content_hash() == first.content_hash()
    np.testing.assert_array_equal(first.splits["dev"].ids, other.splits["dev"].ids)
    # Another kind of subset is another task in the cache.
    drawn = get(dataclasses.replace(spec, subset="random"), tokenizer_folder, kept)
    assert drawn.content_hash() != first.content_hash()
    assert len(drawn.splits["train"]) == 40


def test_regression_takes_the_first_of_the_subsample_permutation(
    tokenizer_folder: Path,
) -> None:
    spec = TaskSpec(name="similarity", examples=50, dev_examples=5)
    whole = get(spec, tokenizer_folder).splits["train"]
    part = get(dataclasses.replace(spec, train_size=12), tokenizer_folder, subsample_seed=3)
    chosen = np.sort(permutation(3, 0, 50, "subsample")[:12])
    np.testing.assert_array_equal(part.splits["train"].labels, whole.labels[chosen])
