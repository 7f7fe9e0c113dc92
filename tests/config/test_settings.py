"""Configuration: types, unknown keys, ranges; the files in conf/ among them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from seedlab.application import app as application
from seedlab.config.checks import check_engine, check_run
from seedlab.config.settings import build, defaults, known_keys, read_settings
from seedlab.errors import SeedlabError
from seedlab.paths import conf_folder, experiments_folder
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import RunSpec, TaskSpec
from seedlab.tasks.metrics import METRICS
from seedlab.training.schedules import SCHEDULES

assert application.main  # registers the defaults with Hydra


@pytest.fixture(autouse=True)
def _outside_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the configuration that a command left behind in this process."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", overrides=["study=s", *overrides])


def plain(**changes: Any) -> DictConfig:
    return OmegaConf.create({**defaults(), "study": "s", **changes})


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def test_defaults_are_those_of_the_dataclasses() -> None:
    settings = read_settings(plain())
    assert settings.spec == dataclasses.replace(RunSpec(), seeds=RunSpec().seeds.resolved())
    assert settings.study == Path("studies/s")
    assert read_settings(plain(study=0)).study == Path("studies/0")


@pytest.mark.parametrize("name", options("recipe"))
def test_every_recipe_composes_and_passes_its_checks(name: str) -> None:
    settings = read_settings(composed(f"recipe={name}"))
    assert settings.spec.recipe.name == name
    check_run(settings.spec)


@pytest.mark.parametrize("name", options("task"))
def test_every_task_composes_and_passes_its_checks(name: str) -> None:
    own = ("train_file=a.csv", "dev_file=b.csv", "text=text", "label=label")
    needed = [f"task.{line}" for line in own] if name == "table" else []
    settings = read_settings(composed(f"task={name}", *needed))
    assert settings.spec.task.name == name
    assert settings.spec.task.metric in (None, *METRICS)
    check_run(settings.spec)


@pytest.mark.parametrize("name", options("engine"))
def test_every_engine_composes(name: str) -> None:
    check_engine(read_settings(composed(f"engine={name}")).engine)


def test_recipes_are_what_their_papers_say() -> None:
    """Devlin's baseline; Mosbach's is Devlin's with bias correction and 20 epochs."""
    devlin = read_settings(composed("recipe=devlin")).spec.recipe
    assert (devlin.epochs, devlin.batch_size, devlin.schedule.warmup_ratio) == (3, 16, 0.1)
    assert not devlin.optimizer.bias_correction
    assert (devlin.optimizer.learning_rate, devlin.optimizer.eps) == (2e-5, 1e-6)
    assert (devlin.clip.mode, devlin.clip.norm) == ("global", 1.0)
    assert devlin.optimizer.weight_decay == 0.01
    mosbach = read_settings(composed("recipe=mosbach2021")).spec.recipe
    assert mosbach == dataclasses.replace(
        devlin,
        name="mosbach2021",
        epochs=20,
        optimizer=dataclasses.replace(devlin.optimizer, bias_correction=True),
    )
    dodge = read_settings(composed("recipe=dodge2020")).spec.recipe
    assert dodge == dataclasses.replace(
        devlin, name="dodge2020", clip=dataclasses.replace(devlin.clip, mode="tensor")
    )
    released = read_settings(composed("recipe=dodge2020_as_released")).spec.recipe
    assert released.schedule.name in SCHEDULES
    assert released.dropout_active == "epoch_start"


def test_a_hyperparameter_is_overridden_by_its_key() -> None:
    spec = read_settings(composed("recipe.optimizer.learning_rate=1e-4", "seed.init=3")).spec
    assert spec.recipe.optimizer.learning_rate == 1e-4
    assert spec.seeds.init == 3


def test_dropout_and_mixout_follow_the_order_seed_unless_given() -> None:
    seeds = read_settings(composed("seed.order=4")).spec.seeds
    assert (seeds.dropout, seeds.mixout, seeds.mask, seeds.augment, seeds.subsample) == (
        4, 4, 0, 0, 0,
    )  # fmt: skip
    assert read_settings(composed("seed.order=4", "seed.dropout=1")).spec.seeds.dropout == 1


def test_a_local_model_is_named_after_its_folder() -> None:
    assert read_settings(composed("model.path=a/minilm")).spec.model.name == "minilm"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taks": {}}, r"key 'taks' is not known.*Did you mean 'task'\?"),
        (
            {"recipe": {"epoch": 3}},
            r"'recipe.epoch' is not known; allowed in 'recipe'.*Did you mean 'epochs'\?",
        ),
        ({"recipe": {"epochs": "three"}}, r"recipe.epochs='three' .* must be a whole number"),
        ({"recipe": {"max_steps": 1.5}}, r"recipe.max_steps=1.5 .* a whole number or null"),
        ({"recipe": {"epochs": True}}, r"recipe.epochs=True is of the wrong type"),
        ({"evaluation": {"at_start": 1}}, r"evaluation.at_start=1 .* true or false"),
        ({"recipe": {"optimizer": 3}}, r"recipe.optimizer=3 .* must be a section"),
        ({"study": None}, r"the study has no name; give it one with study=NAME"),
        ({"dry": "no"}, r"dry='no' is of the wrong type; it must be true or false"),
    ],
)
def test_wrong_keys_and_types_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        read_settings(plain(**changes))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.optimizer.learning_rate=0", r"learning_rate=0.0 is out of range; .*above 0"),
        ("recipe.batch_size=0", r"recipe.batch_size=0 is out of range; it must be at least 1"),
        ("recipe.schedule.name=linaer", r"schedule.name=linaer .*allowed: linear.*'linear'\?"),
        ("recipe.clip.mode=globl", r"recipe.clip.mode=globl .*'global'\?"),
        ("model.dtype=float16", r"model.dtype=float16 is not known; allowed: float32"),
        (
            "evaluation.keep=bset",
            r"keep=bset is not known; allowed: final, best. Did you mean 'best'",
        ),
        ("seed.init=-1", r"seed.init=-1 is out of range; it must be at least 0"),
        ("task.noise=1", r"task.noise=1.0 is out of range"),
        ("recipe.accumulation=17", r"accumulation=17 cuts a batch into more parts"),
        ("recipe.dropout=1", r"recipe.dropout=1.0 is out of range"),
        ("task.max_length=2", r"task.max_length=2 .* at least 4"),
        ("recipe.optimizer.weight_decay=inf", r"weight_decay=inf is out of range"),
        ("task.subset=random", r"task.subset=random has no effect.*which is task.train_size=N"),
        ("task.subset=ballanced", r"task.subset=ballanced is not known.*Did you mean 'balanced'"),
        ("model=hub", r"model.name is not set; name a model of the hub"),
        ("task.text=a", r"task.text=a has no effect on task 'acceptability'.*leave it out"),
        ("task.path=data", r"task.path=.*data has no effect on task 'acceptability'"),
    ],
)
def test_values_out_of_range_are_refused(override: str, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        check_run(read_settings(composed(override)).spec)


def test_a_size_meant_for_made_tasks_is_refused_for_others() -> None:
    """It used to be passed over: all of SST-2 was trained on."""
    with pytest.raises(SeedlabError, match=r"task.examples=10 has no effect.*task.train_size=N"):
        check_run(read_settings(composed("task=sst2", "task.examples=10")).spec)


def test_paths_are_recorded_whole() -> None:
    spec = read_settings(composed("task=table", "task.path=data", "model.path=/m/checkpoint")).spec
    assert spec.task.path == str(Path.cwd() / "data")
    assert spec.model.path == "/m/checkpoint"
    assert read_settings(composed("task=table")).spec.task.path == str(Path.cwd())


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (EngineSpec(name="seriel"), r"engine.name=seriel .*Did you mean 'serial'\?"),
        (EngineSpec(width=0), r"engine.width=0 is out of range"),
        (EngineSpec(device="tpu"), r"engine.device=tpu is not known; allowed: auto, cpu, cuda"),
        (EngineSpec(score="last"), r"engine.score=last is not known; allowed: best, final"),
        (EngineSpec(stack=0), r"engine.stack=0 is out of range; it must be at least 1"),
        (
            EngineSpec(name="auto", graphs=True, device="cpu"),
            r"engine.graphs=true records CUDA graphs.*engine.device=cpu.*use engine.graphs=false",
        ),
        (EngineSpec(stack=2), r"engine.stack .*engine.name=serial was asked .*use engine=packed"),
        (EngineSpec(graphs=True), r"engine.graphs is a setting of the packed engine"),
        (
            EngineSpec(constant_width=True),
            r"engine.constant_width is a setting .*leave engine.constant_width out",
        ),
    ],
)
def test_engine_settings_are_checked(engine: EngineSpec, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        check_engine(engine)


def test_build_round_trips_every_section() -> None:
    run = RunSpec(task=TaskSpec(labels=("no", "yes")), recipe=RecipeSpec(max_steps=7))
    assert build(TaskSpec, dataclasses.asdict(run.task), "task") == run.task
    assert build(RecipeSpec, dataclasses.asdict(run.recipe), "recipe") == run.recipe
    assert RunSpec.from_dict(run.to_dict()).run_id == run.run_id


def test_known_keys_hold_every_leaf() -> None:
    assert {"seed.init", "recipe.optimizer.learning_rate", "task", "study"} <= set(known_keys())


@pytest.mark.parametrize("path", sorted(experiments_folder().glob("*/*.yaml")), ids=str)
def test_every_study_composes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDLAB_DATA", "data")
    settings = read_settings(
        composed(
            f"hydra.searchpath=[file://{experiments_folder()}]", f"+{path.parent.name}={path.stem}"
        )
    )
    check_run(settings.spec)
