"""Checkpoints and decisions on disk, and stopped runs that are resumed."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.store.atomic_files import digest
from seedlab.store.checkpoint_file import best_so_far, from_bytes, header_of, to_bytes
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.decisions import Decisions
from seedlab.store.study import StudyFolder
from seedlab.training.checkpoint import Checkpoint
from seedlab.training.history import History
from seedlab.training.result import Evaluation, Profile
from tests.suites.store_cases import make_result, make_task

RUN = "0123456789abcdef0123"
ODD = [0.1, -0.0, 1e-310, math.pi, math.nan, math.inf]


def checkpoint(step: int = 7) -> Checkpoint:
    trace = History(
        evaluations=[Evaluation(3, 0.3, "dev", "accuracy", v) for v in ODD],
        losses=ODD,
        grad_norms=ODD[::-1],
        logits={"dev": np.array([[1.5, math.nan], [-0.0, 3.0]], np.float32)},
        profiles=[Profile(2, "distance", (0.1, math.nan)), Profile(2, "gradient_norm", (1.0,))],
        seconds=1 / 3,
        best=math.nan,
        idle=2,
    )
    tensors = {
        "weights": torch.arange(5, dtype=torch.float32) / 3,
        "half": torch.tensor([1.0, 2.5], dtype=torch.bfloat16),
        "step": torch.tensor(7.0),
    }
    return Checkpoint(step, trace, tensors)


def bits(values: object) -> bytes:
    return np.array(values, dtype=np.float64).tobytes()


def test_a_checkpoint_is_restored_with_all_its_bits() -> None:
    """NaN, infinity, -0, denormal numbers; float64 and bfloat16."""
    before = checkpoint()
    after = from_bytes(to_bytes(before, {"engine": "packed"}))
    assert after.step == 7
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype
        assert torch.equal(after.tensors[name], tensor)
    a, b = before.history, after.history
    assert bits(a.losses) == bits(b.losses)
    assert bits(a.grad_norms) == bits(b.grad_norms)
    assert bits([e.value for e in a.evaluations]) == bits([e.value for e in b.evaluations])
    assert [(e.step, e.epoch, e.split, e.metric) for e in a.evaluations] == [
        (e.step, e.epoch, e.split, e.metric) for e in b.evaluations
    ]
    assert a.logits["dev"].tobytes() == b.logits["dev"].tobytes()
    assert [(p.step, p.name, bits(p.values)) for p in a.profiles] == [
        (p.step, p.name, bits(p.values)) for p in b.profiles
    ]
    assert (a.status, a.idle, a.seconds) == (b.status, b.idle, b.seconds)
    assert b.best is not None
    assert math.isnan(b.best)


def test_the_header_is_read_without_the_tensors() -> None:
    data = to_bytes(checkpoint(), {"engine": "packed", "best": 0.5})
    assert header_of(data[:4096])["best"] == 0.5
    with pytest.raises(ValueError, match=r".*"):
        header_of(data[:30])


def test_the_best_so_far_is_of_the_deciding_metric_and_ignores_nan_and_step_0() -> None:
    trace = History(
        evaluations=[
            Evaluation(0, 0.0, "dev", "accuracy", 0.7),
            Evaluation(1, 1.0, "dev", "accuracy", 0.5),
            Evaluation(1, 1.0, "dev", "accuracy", math.nan),
            Evaluation(1, 1.0, "dev", "f1", 0.9),
            Evaluation(1, 1.0, "dev_live", "accuracy", 0.8),
        ]
    )
    assert best_so_far(trace, "accuracy", higher_is_better=True) == 0.5
    assert best_so_far(History(), "accuracy", higher_is_better=True) is None


def test_the_newest_usable_checkpoint_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, same = Checkpoints(tmp_path), {"engine": "packed"}
    assert store.load(RUN, same) is None
    store.save(RUN, checkpoint(3), same)
    (old,) = store.files()
    kept = old.path.read_bytes()
    store.save(RUN, checkpoint(6), same)
    assert [file.step for file in store.files()] == [6]
    old.path.write_bytes(kept)  # as after a kill between writing the new and removing the old
    found = store.load(RUN, same)
    assert found is not None
    assert found.step == 6
    early = store.load(RUN, same, latest=5)
    assert early is not None
    assert early.step == 3
    newest = store.files()[-1].path
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    found = store.load(RUN, same)
    assert found is not None
    assert found.step == 3
    assert "is damaged and is ignored" in caplog.text
    assert store.load(RUN, {"engine": "serial"}) is None
    assert "was made with {'engine': 'packed'} and is ignored" in caplog.text
    store.drop([RUN])
    assert store.files() == []


def test_a_folder_in_the_place_of_a_checkpoint_is_reported_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Checkpoints(tmp_path)
    store.save(RUN, checkpoint(), {})
    (file,) = store.files()
    file.path.unlink()
    file.path.mkdir()
    assert store.load(RUN, {}) is None
    assert f"checkpoint {file.path} can't be read" in caplog.text
    assert store.headers(7) == {}
    store.drop([RUN])
    assert file.path.is_dir()


def test_a_decision_is_made_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    decisions = Decisions(tmp_path, "race")
    assert decisions.read("rung") is None
    assert decisions.write("rung", {"goes_on": ["a"]}) == {"goes_on": ["a"]}
    assert decisions.write("rung", {"goes_on": ["b"]}) == {"goes_on": ["a"]}
    path = decisions.folder / "rung.json"
    path.write_text(path.read_text().replace('"a"', '"b"'))
    assert decisions.read("rung") is None
    assert "its checksum differs" in caplog.text
    assert decisions.write("rung", {"goes_on": ["a"]}) == {"goes_on": ["a"]}
    assert json.loads(path.read_text())["content"] == {"goes_on": ["a"]}


def test_the_folder_with_the_most_steps_counts(
    study: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped at 3, then at 6, then finished; a kill may come after every step."""
    task = make_task()
    whole = make_result(task, 0, 0, steps=9)
    early, late = (
        dataclasses.replace(
            whole,
            status="stopped",
            losses=whole.losses[:n],
            learning_rates=whole.learning_rates[:n],
            grad_norms=whole.grad_norms[:n],
        )
        for n in (3, 6)
    )
    run_id = whole.spec.run_id
    for result, status, steps in (
        (early, "stopped", 3),
        (late, "stopped", 6),
        (whole, "finished", 9),
    ):
        claim = study.claim(run_id)
        assert claim is not None
        with claim:
            assert study.claim(run_id, until=steps) is None
            record = study.write(result, task)
        assert (record.status, record.steps) == (status, steps)
        assert study.records()[run_id] == study.read(run_id).record == record
        assert study.claim(run_id, until=steps) is None
    assert study.claim(run_id) is None
    # A late duplicate of an earlier stage is discarded.
    assert study.write(early, task).status == "finished"
    assert study.records()[run_id].status == "finished"
    with caplog.at_level(logging.WARNING):
        (study.folder / "runs" / run_id / "record.json").write_text("{")
        assert study.records() == {}
    assert study.corrupt() == [run_id, f"{run_id}-3", f"{run_id}-6"]
    assert f"run folder {study.folder / 'runs' / run_id} is damaged" in caplog.text


def test_a_stopped_folder_under_another_name_is_damaged(study: StudyFolder) -> None:
    task = make_task()
    result = dataclasses.replace(make_result(task), status="stopped")
    record = study.write(result, task)
    folder = study.folder_of(record)
    folder.rename(folder.with_name(f"{record.run_id}-99"))
    assert study.records() == {}
    assert study.corrupt() == [f"{record.run_id}-99"]


def test_a_checkpoint_of_another_release_is_read_or_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(RUN, checkpoint(), {"engine": "packed", "novel": {"a": 1}})
    found = checkpoints.load(RUN, {"engine": "packed"})
    assert found is not None
    assert found.step == 7
    # A circumstance that the file does not name may have been another one.
    assert checkpoints.load(RUN, {"engine": "packed", "kernel": "x"}) is None
    (file,) = checkpoints.files()
    data = file.path.read_bytes().replace(b"trace/losses", b"trace/lossez")
    file.path.unlink()
    (tmp_path / "checkpoints" / f"{RUN}-7.{digest(data)[:16]}.safetensors").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.load(RUN, {"engine": "packed"}) is None
    assert "is of another release (KeyError('losses'))" in caplog.text
