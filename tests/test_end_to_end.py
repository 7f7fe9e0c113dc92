"""The whole way, as a user goes it: run, continue, extend, verify, export, save, predict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from seedlab.cli import main
from seedlab.store.study import Study, find_study
from tests.suites.command_line import SMALL

GRID = ["-m", "study=small", *SMALL, "seed.init=0,1", "seed.order=0,1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one finished 2 x 2 study, which the tests read and extend."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["run", *GRID]) == 0
        yield folder
    finally:
        os.chdir(before)


def records(name: str = "small") -> dict[str, object]:
    return dict(find_study(name).finished())


def spawn(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seedlab", "run", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def logits_of(study: Study) -> dict[str, np.ndarray]:
    return {run_id: study.read(run_id).arrays.logits["dev"] for run_id in study.finished()}


def wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_grid_leaves_a_record_per_cell(place: Path) -> None:
    cells = {(r.seeds["init"], r.seeds["order"]) for r in records().values()}  # type: ignore[attr-defined]
    assert cells == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for run_id, record in records().items():
        assert record.engine in ("serial", "packed")  # type: ignore[attr-defined]
        assert (place / "studies/small/jobs" / run_id / ".hydra/config.yaml").is_file()


def test_the_same_command_trains_nothing_and_a_wider_one_only_what_is_new(place: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path("studies/small/runs").glob("*/record.json")}
    assert main(["run", *GRID]) == 0
    wider = [a.replace("seed.order=0,1", "seed.order=0,1,2") for a in GRID]
    assert main(["run", *wider]) == 0
    after = {p: p.stat().st_mtime_ns for p in Path("studies/small/runs").glob("*/record.json")}
    assert len(after) == 6
    assert before.items() <= after.items()


def test_verify_finds_a_run_bitwise_equal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = next(iter(records()))
    assert main(["verify", "small", run_id[:8]]) == 0
    assert "bitwise equal (6 losses" in capsys.readouterr().out


def test_a_run_of_a_stack_of_several_is_verified_among_dummies(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Computed as one with its neighbours, and again with dummies in their place."""
    stack = ["-m", "study=stacked", *SMALL, "seed.init=0,1,2", "engine.stack=3"]
    assert main(["run", *stack]) == 0
    study = find_study("stacked")
    assert {record.provenance["stack"] for record in study.finished().values()} == {3}
    run_id = next(iter(study.finished()))
    assert main(["verify", "stacked", run_id]) == 0
    assert "bitwise equal (6 losses" in capsys.readouterr().out
    assert main(["save", "stacked", run_id, "stacked-model"]) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_graphs_without_a_device_are_refused_in_words(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "study=graphs", *SMALL, "engine.graphs=true"]) == 2
    assert "torch sees no CUDA device; use engine.graphs=false" in capsys.readouterr().err
    many = ["-m", "study=graphs", *SMALL, "seed.init=0,1", "engine.graphs=true"]
    assert main(["run", *many]) == 2
    assert "no GPU is visible here; use engine.graphs=false" in capsys.readouterr().err


def test_verify_says_from_which_step_on_a_run_differs(place: Path) -> None:
    from dataclasses import replace

    from seedlab.verify import compare, explain, repeat

    study = find_study("small")
    stored = study.read(next(iter(study.finished())))
    losses = stored.arrays.losses.copy()
    losses[3] = np.nextafter(losses[3], 1.0)
    touched = replace(stored, arrays=replace(stored.arrays, losses=losses))
    found = compare(touched, repeat(stored))
    assert (found.equal, found.first_step) == (False, 4)
    assert "NOT equal from step 4 on (training loss" in explain(stored.record, found)


def test_export_writes_the_tidy_tables(place: Path) -> None:
    assert main(["export", "small", "--out", "tables"]) == 0
    runs = pd.read_csv("tables/runs.csv")
    evaluations = pd.read_csv("tables/evaluations.csv")
    assert len(runs) == len(records())
    assert {"run", "init_seed", "order_seed", "best_score", "failed", "engine"} <= set(runs)
    best = evaluations[(evaluations.split == "dev") & (evaluations.metric == runs.metric[0])]
    np.testing.assert_allclose(
        runs.set_index("run").best_score, best.groupby("run").value.max()[runs.run], rtol=1e-12
    )


def test_a_saved_model_predicts_the_recorded_logits(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loaded by transformers alone, with its own attention: equal to float32 rounding."""
    from seedlab.launch.execute import load_task_of
    from tests.suites.reference import forward

    assert main(["save", "small", "best", "best-model"]) == 0
    assert "bitwise equal to its record" in capsys.readouterr().out
    about = json.loads(Path("best-model/seedlab.json").read_text())
    stored = find_study("small").read(about["run"])
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained("best-model").eval()
    task = load_task_of(stored.record.run_spec())
    dev = task.splits["dev"]
    logits = forward(model, dev, np.arange(len(dev)), task.pad_id).detach().numpy()
    np.testing.assert_allclose(logits, stored.arrays.logits["dev"], atol=2e-5)
    table = pd.DataFrame({"text": ["the dog sleeps .", "the dog sleep ."], "id": [1, 2]})
    table.to_csv("new.csv", index=False)
    assert main(["predict", "best-model", "new.csv", "--out", "scored.csv"]) == 0
    scored = pd.read_csv("scored.csv")
    assert list(scored.id) == [1, 2]
    shares = scored[[c for c in scored if c.startswith("p_")]]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    assert main(["save", "small", "best", "best-model"]) == 2
    assert "is there already and not empty" in capsys.readouterr().err


def test_a_model_of_pairs_wants_both_texts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one it would have scored half an example; and a bad place is refused first."""
    pairs = [a.replace("acceptability", "similarity") for a in SMALL]
    assert main(["run", "study=pairs", *pairs]) == 0
    assert main(["save", "pairs", "best", "new.csv/model"]) == 2
    assert "can't be made (Not a directory)" in capsys.readouterr().err
    assert main(["save", "pairs", "best", "pair-model"]) == 0
    pd.DataFrame({"text_a": ["a dog sleeps ."], "b": ["a cat ."]}).to_csv("pairs.csv", index=False)
    assert main(["predict", "pair-model", "pairs.csv"]) == 2
    assert "has no column 'text_b'; it has text_a, b." in capsys.readouterr().err
    assert main(["predict", "pair-model", "pairs.csv", "--text-pair", "b"]) == 0
    assert "prediction" in capsys.readouterr().out
    assert main(["predict", "pair-model", "pairs.csv", "--text-pair", "b", "--out", "x/y.csv"]) == 2
    assert "x/y.csv can't be written" in capsys.readouterr().err


def test_a_checkpoint_in_pickle_format_is_verified_as_it_was_trained(place: Path) -> None:
    """And from any folder, though it was named by a relative path."""
    import shutil

    import torch
    from safetensors.torch import load_file

    from seedlab.models.checkpoint import EMBEDDED

    shutil.copytree(EMBEDDED, "pickled")
    torch.save(load_file("pickled/model.safetensors"), "pickled/pytorch_model.bin")
    Path("pickled/model.safetensors").unlink()
    trusted = ["model.path=pickled", "model.allow_pickle=true"]
    assert main(["run", "study=pickled", *SMALL, *trusted]) == 0
    run_id = next(iter(records("pickled")))
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        assert main(["verify", str(place / "studies/pickled"), run_id]) == 0
    finally:
        os.chdir(place)


def test_a_job_in_a_folder_of_its_own_keeps_its_result_in_the_study(place: Path) -> None:
    arguments = ["hydra/launcher=basic", "hydra.job.chdir=true", *SMALL[:4], "engine.threads=1"]
    assert main(["run", "-m", "study=moved", *arguments]) == 0
    assert len(records("moved")) == 1


def test_the_demo_finds_its_study_where_it_was_told_to_put_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["study=shown", "studies_dir=other", *SMALL, "seed.init=0", "seed.order=0"]
    assert main(["demo", *tiny]) == 0
    out = capsys.readouterr().out
    assert "The study is in other/shown" in out
    assert "seedlab status other/shown" in out


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
    assert not Path("studies/never/runs").exists()


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


@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_kill_9_loses_nothing_and_the_same_command_continues(place: Path, victim: str) -> None:
    """The killed study ends with the bits of an undisturbed one."""
    name = f"killed-{victim}"
    longer = ["recipe.max_steps=60" if a.startswith("recipe.max") else a for a in GRID]
    longer[1] = f"study={name}"
    process = spawn(*longer, cwd=place)
    study = Study(place / "studies" / name)
    wait_for(lambda: study.claimed() or process.poll() is not None)
    owner = next(iter(study.owners().values()))
    pid = int(owner.split()[1]) if victim == "worker" else process.pid
    assert pid != process.pid or victim == "parent"
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    if victim == "worker":
        assert process.returncode == 0, output
    else:
        wait_for(lambda: not study.claimed())  # the orphaned worker ends itself
        assert main(["run", *longer]) == 0
    assert len(study.finished()) == 4
    undisturbed = ["study=calm" if a.startswith("study=") else a for a in longer]
    assert main(["run", *undisturbed]) == 0
    calm = logits_of(find_study("calm"))
    for run_id, logits in logits_of(study).items():
        assert np.array_equal(logits, calm[run_id])


@pytest.mark.slow
def test_two_parents_share_one_study(place: Path) -> None:
    """Both end well, every run is there once, and nothing was written twice."""
    arguments = ["study=shared" if a.startswith("study=") else a for a in GRID]
    parents = [spawn(*arguments, cwd=place) for _ in range(2)]
    outputs = [parent.communicate(timeout=180)[0] for parent in parents]
    assert [parent.returncode for parent in parents] == [0, 0], outputs
    assert len(records("shared")) == 4
    assert not list((place / "studies/shared/corrupt").glob("*"))


def test_a_truncated_run_is_reported_and_trained_again(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = find_study("small")
    run_id = next(iter(study.finished()))
    before = logits_of(study)[run_id]
    file = study.folder / "runs" / run_id / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:100])
    assert run_id not in study.finished()
    assert run_id in caplog.text
    wider = [a.replace("seed.order=0,1", "seed.order=0,1,2") for a in GRID]
    assert main(["run", *wider]) == 0
    assert np.array_equal(logits_of(study)[run_id], before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "seed.inti=3"], r"'seed.inti' is not known. Did you mean 'seed.init'"),
        (["run", "task=acceptabilty"], "acceptability"),
        (["run", "recipe.epochs=0"], "recipe.epochs=0 is out of range"),
        (["run", "recipe.epochs=many"], "must be a whole number"),
        (["run", "model.path=/nowhere/at/all"], "is not a folder"),
        (["run", "task.max_length=100000"], "task.max_length=100000"),
        (["run", "engine.device=cuda"], "torch sees no CUDA device"),
        (["export", "small", "--out", "/proc/nowhere"], "/proc/nowhere: No such file"),
        (["run", "experiment=dmo"], "Did you mean 'demo'"),
        (["run", "grid=3x3"], "add -m"),
        (["run", "recipe=mosbach"], "Did you mean 'mosbach2021'"),
        (["run", "study=../x"], "leads out of the folder of studies"),
        (["run", "-m", "task=rte,mrpc"], "give it a name with study=NAME"),
        (["run", "-m", "study=x", "seed.init=0,0"], "names one run twice"),
        (["run", "task=rte", "task.path=/nowhere"], "/nowhere"),
        (["status", "smal"], "Did you mean 'small'"),
        (["verify", "small", "zzz"], "has no finished run 'zzz'"),
        (["predict", ".", "new.csv"], "is not a model that seedlab saved"),
    ],
)
def test_refusals_are_one_sentence_and_exit_with_2(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    import torch

    if "engine.device=cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
