"""A grid as a user runs it: once, again, extended, damaged, as a dry run, by other launchers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from seedlab.commands.cli import main
from seedlab.store.study import find_study
from tests.suites.command_line import SMALL
from tests.suites.small_grid import GRID, logits_of, records


def test_a_grid_leaves_a_record_per_cell(place: Path) -> None:
    cells = {(r.seeds["init"], r.seeds["order"]) for r in records().values()}  # type: ignore[attr-defined]
    assert cells == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for run_id, record in records().items():
        assert record.engine in ("serial", "packed")  # type: ignore[attr-defined]
        assert (place / "studies/small/jobs" / run_id / ".hydra/config.yaml").is_file()


def test_the_same_command_trains_nothing_and_an_extended_one_only_new_runs(place: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path("studies/small/runs").glob("*/record.json")}
    assert main(["run", *GRID]) == 0
    wider = [a.replace("seed.order=0,1", "seed.order=0,1,2") for a in GRID]
    assert main(["run", *wider]) == 0
    after = {p: p.stat().st_mtime_ns for p in Path("studies/small/runs").glob("*/record.json")}
    assert len(after) == 6
    assert before.items() <= after.items()


def test_a_job_in_a_folder_of_its_own_keeps_its_result_in_the_study(place: Path) -> None:
    arguments = ["hydra/launcher=basic", "hydra.job.chdir=true", *SMALL[:4], "engine.threads=1"]
    assert main(["run", "-m", "study=moved", *arguments]) == 0
    assert len(records("moved")) == 1


def test_the_demo_finds_its_study_in_the_chosen_folder(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And names the next commands as this one was called."""
    monkeypatch.setattr(sys, "argv", ["some/bin/seedlab", "demo"])
    tiny = ["study=shown", "studies_dir=other", *SMALL, "seed.init=0", "seed.order=0"]
    assert main(["demo", *tiny]) == 0
    out = capsys.readouterr().out
    assert "The study is in other/shown" in out
    assert "\n  some/bin/seedlab status other/shown --grid final " in out


def test_status_counts_the_cells(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "studies/small"]) == 0
    out = capsys.readouterr().out
    assert "cells done" in out
    assert "0 left" in out


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = [a.replace("study=small", "study=never") for a in GRID]
    assert main(["run", *dry, "dry=true"]) == 0
    out = capsys.readouterr().out
    for word in ("runs     4 asked for", "cells    4", "steps    6", "rates", "memory", "time"):
        assert word in out
    assert not Path("studies/never").exists()


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_other_launchers_train_the_same_bits(place: Path, launcher: str) -> None:
    arguments = [a for a in GRID if not a.startswith("hydra.launcher")]
    arguments[1] = f"study=with-{launcher}"
    arguments[-2:] = ["seed.init=0", "seed.order=0,1"]
    extra = ["hydra.launcher.n_jobs=1"] if launcher == "joblib" else []
    assert main(["run", *arguments, f"hydra/launcher={launcher}", *extra]) == 0
    ours, theirs = logits_of(find_study("small")), logits_of(find_study(f"with-{launcher}"))
    assert len(theirs) == 2
    assert all(np.array_equal(ours[run_id], theirs[run_id]) for run_id in theirs)


def test_a_single_run_reports_its_score_and_is_kept(place: Path) -> None:
    assert main(["run", "study=one", *SMALL[:4], "engine.threads=1"]) == 0
    assert len(records("one")) == 1


def test_a_truncated_run_is_reported_and_trained_again(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = find_study("small")
    run_id = next(iter(study.records()))
    before = logits_of(study)[run_id]
    file = study.folder / "runs" / run_id / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:100])
    assert run_id not in study.records()
    assert run_id in caplog.text
    wider = [a.replace("seed.order=0,1", "seed.order=0,1,2") for a in GRID]
    assert main(["run", *wider]) == 0
    assert np.array_equal(logits_of(study)[run_id], before)
