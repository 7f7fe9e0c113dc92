"""The intermediate task: two studies, the second begins where a run of the first ended."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seedlab.commands.cli import main
from seedlab.errors import SeedlabError
from seedlab.inputs.content import load_encoded
from seedlab.inputs.loaded import load_task_of, load_weights_of
from seedlab.models.checkpoint_folder import EMBEDDED, locate, weights_hash
from seedlab.paths import cache_folder
from seedlab.randomness.streams import normal
from seedlab.reproduce import retrain
from seedlab.reproduce.identify import with_hashes
from seedlab.reproduce.intermediate import resolve_intermediate
from seedlab.spec.recipe import IntermediateSpec, OptimizerSpec, RecipeSpec
from seedlab.spec.run import EvaluationSpec, ModelSpec, RunSpec, Seeds, TaskSpec
from seedlab.store.study import StudyFolder, find_study

STAGES = [
    "task.examples=24",
    "task.dev_examples=16",
    "recipe.batch_size=8",
    "recipe.epochs=1",
    "recipe.optimizer.learning_rate=1e-3",
    "engine.threads=1",
]
FIRST = ["-m", "study=first", "task=paraphrase", *STAGES, "seed.init=0,1,2"]
SECOND = ["-m", "study=second", "task=acceptability", *STAGES, "recipe.intermediate.study=first"]
WORKERS = ["hydra.launcher.slots=1", "seed.init=0,1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a study of three runs, and one of two runs that begin at its median."""
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SEEDLAB_CACHE", str(folder / "cache"))
        assert main(["run", *FIRST, "hydra/launcher=basic"]) == 0
        assert main(["run", *SECOND, *WORKERS]) == 0
        yield folder


def run_of(**changes: object) -> RunSpec:
    """Return a run that begins where the first study ended."""
    began = IntermediateSpec("first", str(changes.pop("run", "median")))
    run = RunSpec(
        task=TaskSpec(examples=24, dev_examples=16),
        recipe=RecipeSpec(batch_size=8, epochs=1, intermediate=began),
        seeds=Seeds(init=5),
    )
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


def median() -> str:
    """Return the id of the first study's run with the middle score."""
    records = find_study("first").records().values()
    ranked = sorted(records, key=lambda record: (record.final_score, record.run_id))
    return ranked[1].run_id


def test_the_second_study_was_trained_by_the_workers(place: Path) -> None:
    records = list(find_study("second").records().values())
    assert len(records) == 2
    began = {record.spec["recipe"]["intermediate"]["run"] for record in records}
    assert began == {median()}
    (folder,) = {record.spec["model"]["path"] for record in records}
    assert Path(folder).parent == cache_folder() / "intermediate"
    assert {record.model for record in records} == {"embedded"}


def test_weights_hash_is_that_of_the_checkpoint(place: Path) -> None:
    run = with_hashes(run_of())
    folder = locate("embedded", run.model.path)
    assert run.weights_hash == weights_hash(folder, place / "other-cache")
    assert run.weights_hash != with_hashes(run_of(recipe=RecipeSpec())).weights_hash
    for which in ("best", median()[:6]):
        found = with_hashes(run_of(run=which))
        assert (found.run_id == run.run_id) == (found.recipe.intermediate.run == median())


def test_the_encoder_is_where_stage_one_ended_and_the_head_is_new(place: Path) -> None:
    """The pooler is part of the encoder, as in STILTs; the embedded one comes without."""
    assert main(["save", "first", median(), "one"]) == 0
    ended = load_file("one/model.safetensors")
    run = with_hashes(run_of())
    weights = load_weights_of(run, load_task_of(run), "cpu")
    assert weights.new == ("classifier.weight", "classifier.bias")
    model = weights.start(5)
    tensors = dict(model.named_parameters())
    encoder = [name for name in tensors if name.startswith("bert.")]
    assert "bert.pooler.dense.weight" in encoder
    for name in encoder:
        assert torch.equal(tensors[name], ended[name]), name
    pretrained = load_file(EMBEDDED / "model.safetensors")
    layer = "bert.encoder.layer.1.output.dense.weight"
    assert not torch.equal(tensors[layer], pretrained[layer])
    drawn = normal(5, "classifier.weight", tuple(tensors["classifier.weight"].shape))
    expected = torch.from_numpy(drawn * model.config.initializer_range).float()
    assert torch.equal(tensors["classifier.weight"].detach(), expected)
    assert not tensors["classifier.bias"].any()


def test_the_checkpoint_is_made_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(retrain, "_save_undisturbed", fail)
    assert with_hashes(run_of()).recipe.intermediate.run == median()


def test_a_record_is_enough_to_repeat_a_run_after_the_cache_is_gone(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = next(iter(find_study("second").records()))
    shutil.rmtree(cache_folder() / "intermediate")
    with caplog.at_level(logging.INFO):
        assert main(["verify", "second", run_id]) == 0
    assert f"training run {median()} of study 'first' again" in caplog.text


def test_the_optimiser_begins_anew(place: Path) -> None:
    """The first update of BERTAdam's first step is lr m / (sqrt(v) + eps) with m, v of one
    gradient: 0.1 g / (sqrt(0.001) |g|) = 3.16 lr for every weight whose gradient is well above
    eps; remembered moments of stage one would give other sizes.
    """
    from seedlab.execution.train import train
    from seedlab.spec.pack import EngineSpec

    recipe = dataclasses.replace(
        run_of().recipe,
        max_steps=1,
        optimizer=OptimizerSpec(1e-4, eps=1e-30, weight_decay=0.0, bias_correction=False),
        schedule=dataclasses.replace(run_of().recipe.schedule, warmup_ratio=0.0),
        clip=dataclasses.replace(run_of().recipe.clip, mode="none"),
    )
    run = with_hashes(run_of(recipe=recipe, evaluation=EvaluationSpec(per_epoch=0)))
    task = load_task_of(run)
    weights = load_weights_of(run, task, "cpu")
    before = {name: tensor.clone() for name, tensor in weights.pretrained.items()}
    list(train([run], task, EngineSpec(threads=1, device="cpu")))
    name = "bert.encoder.layer.1.output.dense.weight"
    moved = (dict(weights.model.named_parameters())[name] - before[name]).detach().abs().numpy()
    np.testing.assert_allclose(np.median(moved), 1e-4 * 0.1 / np.sqrt(1e-3), rtol=1e-3)


def copy_with_status(name: str, status: str) -> StudyFolder:
    """Return a copy of the first study in which the median run has another status."""
    from seedlab.store import run_folders as runs

    study = find_study("first")
    record = study.records()[median()]
    folder = Path("studies") / name
    files = {
        path.name: path.read_bytes()
        for path in study.run_folder(record.run_id).iterdir()
        if path.name != "record.json"
    }
    (folder / "runs").mkdir(parents=True)
    runs.publish(folder, dataclasses.replace(record, status=status), files)
    return StudyFolder(folder)


@pytest.mark.parametrize(
    ("status", "message"),
    [("stopped", "was stopped before its end"), ("diverged", "diverged")],
)
def test_refusal_of_a_run_without_an_end(place: Path, status: str, message: str) -> None:
    study = copy_with_status(status, status)
    (run_id,) = study.records()
    recipe = RecipeSpec(intermediate=IntermediateSpec(status, run_id))
    with pytest.raises(
        SeedlabError,
        match=rf"intermediate.study={status}: run {run_id} {message}, .*intermediate.run=ID",
    ):
        with_hashes(run_of(recipe=recipe))


@pytest.mark.parametrize(
    ("began", "message"),
    [
        (
            IntermediateSpec("frist"),
            r"recipe.intermediate.study=frist: study 'frist' does not exist in studies; .*'first'\?",
        ),
        (IntermediateSpec("first", "zz"), r"study=first: study 'first' has no run 'zz'"),
        (IntermediateSpec("empty"), r"study=empty: study 'empty' has no finished run yet; train"),
    ],
)
def test_refusal_of_a_missing_study_or_run(
    place: Path, began: IntermediateSpec, message: str
) -> None:
    Path("studies/empty/runs").mkdir(parents=True, exist_ok=True)
    with pytest.raises(SeedlabError, match=message):
        with_hashes(run_of(recipe=RecipeSpec(intermediate=began)))


def test_refusal_of_another_model(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(EMBEDDED, other)
    tensors = load_file(other / "model.safetensors")
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, other / "model.safetensors")
    run = run_of(model=ModelSpec(name="other", path=str(other)))
    with pytest.raises(
        SeedlabError,
        match=r"was trained from model 'embedded' \(weights .*this run's model is 'other'.*same one",
    ):
        resolve_intermediate(run, Path("studies"))


def test_a_third_stage_begins_where_the_second_ended(place: Path) -> None:
    recipe = RecipeSpec(intermediate=IntermediateSpec("second", "best"))
    run = with_hashes(run_of(recipe=recipe))
    assert run.weights_hash != with_hashes(run_of()).weights_hash
    assert Path(str(run.model.path)).name.startswith(run.recipe.intermediate.run)


def test_without_an_intermediate_task_nothing_changes() -> None:
    run = RunSpec()
    assert resolve_intermediate(run, Path("nowhere")) is run


def test_the_saved_tokeniser_gives_the_same_data(place: Path) -> None:
    run = with_hashes(run_of())
    assert run.data_hash == load_encoded(run.task, ModelSpec(), 0).content_hash()
    about = json.loads((Path(str(run.model.path)) / "seedlab.json").read_text())
    assert about["run"] == median()


def test_a_number_can_be_predicted_after_classes(place: Path) -> None:
    run = with_hashes(run_of(task=TaskSpec("similarity", examples=24, dev_examples=16)))
    weights = load_weights_of(run, load_task_of(run), "cpu")
    assert weights.new == ("classifier.weight", "classifier.bias")
    assert weights.model.config.num_labels == 1
