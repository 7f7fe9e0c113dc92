"""`seedlab soup` and `seedlab barrier`: averages of runs, and the line between two of them."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from analysis.data.loss_surfaces import barrier_height, read_barrier
from seedlab.commands.cli import main
from seedlab.errors import SeedlabError
from seedlab.execution.train import train
from seedlab.inputs.loaded import load_task_of, load_weights_of
from seedlab.models.checkpoint_folder import EMBEDDED
from seedlab.models.heads import HeadChoice
from seedlab.models.saved import read_model
from seedlab.reproduce import loss_barrier, soup
from seedlab.reproduce.identify import with_hashes
from seedlab.reproduce.loss_surface import write
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import OptimizerSpec, RecipeSpec
from seedlab.spec.run import EvaluationSpec, RunSpec, Seeds, TaskSpec
from seedlab.store.study import StudyFolder, find_study
from seedlab.tasks.encoded import EncodedTask
from tests.suites.command_line import SMALL
from tests.suites.reference import forward
from tests.suites.store_cases import make_result, make_spec, make_task

State = dict[str, np.ndarray]


class Trained(NamedTuple):
    """A study, its task, and the weights at the end of every run, in the order of training."""

    study: StudyFolder
    task: EncodedTask
    states: dict[str, State]

    @property
    def runs(self) -> list[str]:
        return list(self.states)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Runs of init and order seeds 0, 0; 0, 1; 1, 1, on few examples."""
    folder = tmp_path_factory.mktemp("averages")
    runs = [
        with_hashes(
            RunSpec(
                task=TaskSpec(examples=16, dev_examples=32, dev_split="halved"),
                recipe=RecipeSpec(
                    max_steps=2, batch_size=8, optimizer=OptimizerSpec(learning_rate=3e-3)
                ),
                evaluation=EvaluationSpec(per_epoch=0, at_start=False),
                seeds=Seeds(init=init, order=order),
            )
        )
        for init, order in ((0, 0), (0, 1), (1, 1))
    ]
    task, study = load_task_of(runs[0]), StudyFolder(folder / "studies" / "three")
    study.begin(runs)
    states = {}
    for run in runs:
        (result,) = train([run], task, EngineSpec("serial", 1, 1, "cpu"))
        study.write(result, task)
        # The engine leaves them in the model.
        model = load_weights_of(run, task, "cpu").model
        states[run.run_id] = {n: t.detach().clone().numpy() for n, t in model.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Trained(study, task, states)


def mean_of(states: list[State]) -> State:
    """The mean of models in double precision."""
    return {
        name: np.mean([state[name].astype(np.float64) for state in states], axis=0)
        for name in states[0]
    }


@functools.cache
def classifier() -> PreTrainedModel:
    config = AutoConfig.from_pretrained(EMBEDDED, num_labels=2)
    return AutoModelForSequenceClassification.from_config(config).eval()


def plain(state: State, task: EncodedTask, split: str) -> np.ndarray:
    """The logits of weights, by transformers alone."""
    model = classifier()
    model.load_state_dict({name: torch.from_numpy(a).float() for name, a in state.items()})
    chosen = task.splits[split]
    with torch.no_grad():
        return forward(model, chosen, np.arange(len(chosen)), task.pad_id).double().numpy()


def accuracy(state: State, task: EncodedTask, split: str) -> float:
    return float(np.mean(plain(state, task, split).argmax(1) == task.splits[split].labels))


def loss(state: State, task: EncodedTask) -> float:
    """The mean cross-entropy on the training set."""
    logits, labels = plain(state, task, "train"), task.splits["train"].labels
    own = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - own))


def test_the_average_is_the_mean_of_the_members(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights by numpy from what training left; scores by transformers alone."""
    study, task, states = trained
    assert main(["soup", "three", *(run[:9] for run in trained.runs), "--out", "model"]) == 0
    printed = capsys.readouterr().out
    mean, saved = mean_of(list(states.values())), load_file("model/model.safetensors")
    assert set(saved) == set(mean)
    for name, tensor in saved.items():
        # Rounded to single precision twice, once per member after the first.
        np.testing.assert_allclose(tensor, mean[name], rtol=3e-7, atol=1e-9)
    about = json.loads(Path("model/seedlab.json").read_text())
    assert [one["run"] for one in about["average_of"]] == trained.runs
    for split in ("dev", "test"):
        assert about["final_scores"][split]["accuracy"] == accuracy(mean, task, split)
        for run, member in zip(trained.runs, about["average_of"], strict=True):
            recorded = study.read(run).record.final_scores[split]
            assert member["scores"][split] == recorded
            assert recorded["accuracy"] == accuracy(states[run], task, split)
    *_, means, average, note, where = printed.splitlines()
    ours = np.mean([one["scores"]["test"]["accuracy"] for one in about["average_of"]])
    assert means.split() == ["mean", "of", "3", "runs", means.split()[-2], f"{ours:.4f}"]
    assert average.split()[-1] == f"{about['final_scores']['test']['accuracy']:.4f}"
    assert note.startswith("The runs have several init seeds, so their new heads began apart")
    assert where == "the average is saved in model"
    assert main(["soup", "three", *trained.runs, "--out", "model"]) == 2
    assert "replace the model that it holds with --overwrite" in capsys.readouterr().err


def test_a_greedy_average_takes_what_does_not_make_it_worse(trained: Trained) -> None:
    """The recipe of Wortsman et al. 2022, followed with numpy and transformers."""
    study, task, states = trained
    # Runs of equal scores keep the order in which they were named.
    order = sorted(trained.runs, key=lambda run: -study.read(run).record.final_score)
    inside = [order[0]]
    for run in order[1:]:
        now = accuracy(mean_of([states[one] for one in inside]), task, "dev")
        with_it = accuracy(mean_of([states[one] for one in [*inside, run]]), task, "dev")
        inside += [run] if with_it >= now else []
    found = soup.soup(study, trained.runs, greedy=True)
    assert [record.run_id for record in found.members] == order
    taken = [r.run_id for r, one in zip(found.members, found.averaged, strict=True) if one]
    assert taken == inside
    assert found.scores["dev"]["accuracy"] == accuracy(
        mean_of([states[one] for one in inside]), task, "dev"
    )


def test_the_mean_of_equal_weights_is_these_weights() -> None:
    """Exactly, whatever their number; whole numbers stay what they are."""
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    mean = weights
    for n in range(1, 12):
        mean = soup.running_mean(mean, weights, n)
        assert torch.equal(mean, weights)
    places = torch.arange(3)
    assert soup.running_mean(places, places + 1, 1) is places


def test_what_makes_no_average_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soup, "retrain", lambda *_, **__: pytest.fail("a run was trained"))
    monkeypatch.setattr(loss_barrier, "retrain", soup.retrain)
    study, task = StudyFolder(tmp_path / "odd"), make_task()

    def put(init: int, status: str = "finished", **recipe: object) -> str:
        spec = make_spec()
        spec = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **recipe))
        return study.write(make_result(task, init, spec=spec, status=status), task).run_id

    one, two, three = put(0), put(1), put(2, batch_size=64)
    lost, early, other = put(3, "diverged"), put(4, "stopped"), put(6, name="plain")
    subset = dataclasses.replace(make_spec(), seeds=Seeds(subsample=1), data_hash="f" * 32)
    drawn = study.write(dataclasses.replace(make_result(task, 7), spec=subset), task).run_id
    foreign = make_spec()
    model = dataclasses.replace(foreign.model, trust_remote_code=True)
    foreign = dataclasses.replace(foreign, model=model)
    code = study.write(make_result(task, 5, spec=foreign), task).run_id
    for runs, message in (
        ([one], r"1 run was named; an average needs at least two runs"),
        ([one, two, one], rf"run {one} was named twice; an average needs different runs"),
        ([one, three], r"differ in batch_size=.* and 64: an average needs runs that differ"),
        # Settings have the names of `seedlab status`: not two hashes of the data.
        ([one, other], rf"runs {one} and {other} differ in recipe=devlin and plain: an average"),
        ([one, drawn], rf"runs {one} and {drawn} differ in seed\.subsample=0 and 1: an average"),
        (
            [one, lost],
            rf"run {lost} diverged; an average needs runs that were trained to their end",
        ),
        ([one, early], rf"run {early} was stopped before its end; an average needs"),
        ([one, code], rf"run {code} was trained with model.trust_remote_code=true.* add --trust"),
    ):
        with pytest.raises(SeedlabError, match=message):
            soup.soup(study, runs)
    for pair, message in (
        ((one, one), r"named twice; a line needs the ends of two runs"),
        ((one, three), r"differ in batch_size.*a line needs two runs that differ in their s"),
        ((lost, one), r"diverged; a line needs runs"),
        ((one, code), r"trust_remote_code=true.* add --trust"),
    ):
        with pytest.raises(SeedlabError, match=message):
            loss_barrier.barrier(study, *pair)
    with pytest.raises(SeedlabError, match=r"points is 2; it must be at least 3"):
        loss_barrier.barrier(study, one, two, points=2)


def test_a_folder_of_others_is_refused_before_training(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soup, "retrain", lambda *_, **__: pytest.fail("a run was trained"))
    Path("notes").mkdir()
    Path("notes/mine.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(SeedlabError, match=r"notes exists and is not an empty folder; name a"):
            soup.soup(trained.study, trained.runs, out=Path("notes"), overwrite=overwrite)
    assert [path.name for path in Path("notes").iterdir()] == ["mine.txt"]


def test_a_line_has_the_runs_at_its_ends_and_their_mean_in_the_middle(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    study, task, states = trained
    one, two, _ = trained.runs
    assert main(["barrier", "three", one[:9], two, "--points", "5"]) == 0
    line = read_barrier(study.folder / "barriers" / f"{one}-{two}.csv")
    assert list(line["at"]) == [0, 0.25, 0.5, 0.75, 1]
    assert list(line["point"]) == ["first", "", "", "", "second"]
    assert (line["examples"] == 16).all()
    for run, row in ((one, line.iloc[0]), (two, line.iloc[-1])):
        # Not nearly: the serial engine computes the scores of both.
        assert row["score"] == study.read(run).record.final_score
        # Batches are padded otherwise here: single precision.
        assert row["loss"] == pytest.approx(loss(states[run], task), rel=1e-5)
    mean = mean_of([states[one], states[two]])
    assert line["loss"][2] == pytest.approx(loss(mean, task), rel=1e-5)
    assert line["score"][2] == accuracy(mean, task, "dev")
    quarter = {name: 0.75 * states[one][name] + 0.25 * states[two][name] for name in mean}
    assert line["loss"][1] == pytest.approx(loss(quarter, task), rel=1e-5)
    height = line["loss"].max() - (line["loss"][0] + line["loss"][4]) / 2
    assert f"barrier of the loss {height:.4f} (" in capsys.readouterr().out


def test_an_end_is_itself_and_whole_numbers_stay() -> None:
    start, end = torch.tensor([0.1, 3e8]), torch.tensor([0.7, -1e-8])
    assert loss_barrier.between(start, end, 0.0) is start
    assert loss_barrier.between(start, end, 1.0) is end
    assert loss_barrier.between(start, end, 0.5).tolist() == pytest.approx([0.4, 1.5e8])
    places = torch.arange(3)
    assert loss_barrier.between(places, places + 1, 0.5) is places


def test_the_height_is_the_worst_value_against_the_mean_of_the_ends(tmp_path: Path) -> None:
    """By hand. A line without a hill has half the difference of its ends. Both packages agree."""
    line = pd.DataFrame(
        {
            "first": "a", "second": "b", "examples": 9, "metric": "m", "direction": "max",
            "at": [0, 0.3, 0.6, 1], "point": ["first", "", "", "second"],
            "loss": [0.4, 0.9, 0.6, 0.3], "score": [0.6, 0.4, 0.5, 0.7],
        }
    )  # fmt: skip
    write(line, tmp_path / "line.parquet")
    read = read_barrier(tmp_path / "line.parquet")
    errors = read.assign(direction="min", score=1 - read["score"])
    slope = read.assign(loss=[0.5, 0.5, 0.4, 0.1], score=[0.6, 0.65, 0.6, 0.7])
    for height in (loss_barrier.height, barrier_height):
        assert height(read) == pytest.approx(0.9 - 0.35)
        assert height(read, "score") == pytest.approx(0.65 - 0.4)
        assert height(errors, "score") == pytest.approx(0.6 - 0.35)
        assert height(slope) == pytest.approx(0.2)
        assert height(slope, "score") == pytest.approx(0.05)
        assert np.isnan(height(read.assign(loss=[0.1, np.nan, 0.1, 0.1])))


TECHNIQUES = {
    "lora": ["recipe.adapter.method=lora", "engine=serial"],
    "packed-swa": ["recipe.averaging.start_epoch=0.5", "engine=packed"],
    "concat-reinit": ["recipe.head.kind=concat", "recipe.head.layers=2", "recipe.reinit.layers=1"],
    "attention-lora": ["recipe.head.kind=attention", "recipe.adapter.method=lora"],
    "frozen": ["recipe.freeze.layers=1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_an_average_is_the_mean_of_saved_models(
    technique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way by commands; low-rank updates are merged first."""
    monkeypatch.chdir(tmp_path)
    seeds = ["seed.init=0", "seed.order=0,1,2", "hydra.launcher.slots=1"]
    rates = ["recipe.optimizer.learning_rate=3e-3"]
    command = ["run", "-m", "study=s", *SMALL, *TECHNIQUES[technique], *seeds, *rates]
    assert main(command) == 0
    study = find_study("s")
    runs = list(study.records())
    for run in runs:
        assert main(["save", "s", run, run]) == 0
    assert main(["soup", "s", "best:3", "--out", "average"]) == 0
    assert main(["soup", "s", *runs, "--out", "average", "--overwrite"]) == 0
    for file in Path("average").glob("*.safetensors"):
        mean = mean_of([load_file(f"{run}/{file.name}") for run in runs])
        for name, tensor in load_file(file).items():
            np.testing.assert_allclose(tensor, mean[name], rtol=1e-6, atol=1e-8)
    about = json.loads(Path("average/seedlab.json").read_text())
    head = None if about["head"] is None else HeadChoice(**about["head"])
    task = load_task_of(study.read(runs[0]).record.run_spec())
    dev = task.splits["dev"]
    logits = forward(
        read_model(Path("average"), head), dev, np.arange(len(dev)), task.pad_id
    ).detach()
    right = np.mean(logits.numpy().argmax(1) == dev.labels)
    assert about["final_scores"]["dev"]["accuracy"] == right
    assert main(["barrier", "s", *runs[:2], "--points", "3"]) == 0
    line = read_barrier(study.folder / "barriers" / f"{runs[0]}-{runs[1]}.csv")
    for run, score in zip(runs[:2], line["score"].iloc[[0, -1]], strict=True):
        # Merging and the other engine round; one example may fall to the other side.
        assert score == pytest.approx(study.read(run).record.final_score, abs=1.01 / len(dev))
    if technique == "lora":
        assert main(["report", "s", "--out", "report"]) == 0
        assert Path("report/figures/barrier-1-loss.svg").is_file()
    Path("texts.csv").write_text("text\nthe dog sleeps .\n")
    assert main(["predict", "average", "texts.csv"]) == 0
