"""Checks of a run's values, made before anything is read or trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seedlab.config.recipe_checks import check_recipe
from seedlab.engines import ENGINES
from seedlab.errors import SeedlabError, nearest
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import (
    ADAPTERS,
    CLIP_MODES,
    GRANULARITIES,
    HEADS,
    LAYER_RATE_SCHEMES,
    LOSSES,
    TRUNCATIONS,
)
from seedlab.spec.run import DTYPES, RunSpec, TaskSpec
from seedlab.tasks.registry import READERS
from seedlab.training.schedules import SCHEDULES

_AT_LEAST_1 = (lambda x: x is None or x >= 1, "at least 1")
_AT_LEAST_0 = (lambda x: x is None or x >= 0, "at least 0")
_SHARE = (lambda x: 0.0 <= x <= 1.0, "between 0 and 1")

_RANGES: tuple[tuple[str, tuple[Callable[[Any], bool], str]], ...] = (
    ("task.max_length", (lambda x: x >= 4, "at least 4 (two special tokens and some text)")),
    ("task.train_size", _AT_LEAST_1),
    ("task.examples", _AT_LEAST_1),
    ("task.dev_examples", _AT_LEAST_1),
    ("task.noise", (lambda x: 0.0 <= x < 1.0, "at least 0 and below 1")),
    ("recipe.optimizer.learning_rate", (lambda x: x > 0.0, "above 0, for example 2e-5")),
    ("recipe.optimizer.beta1", (lambda x: 0.0 <= x < 1.0, "at least 0 and below 1")),
    ("recipe.optimizer.beta2", (lambda x: 0.0 <= x < 1.0, "at least 0 and below 1")),
    ("recipe.optimizer.eps", (lambda x: x > 0.0, "above 0")),
    ("recipe.optimizer.weight_decay", (lambda x: x >= 0.0, "at least 0")),
    ("recipe.schedule.warmup_ratio", _SHARE),
    ("recipe.schedule.warmup_steps", _AT_LEAST_0),
    ("recipe.clip.norm", (lambda x: x > 0.0, "above 0; switch clipping off with clip.mode=none")),
    ("recipe.batch_size", _AT_LEAST_1),
    ("recipe.accumulation", _AT_LEAST_1),
    ("recipe.epochs", _AT_LEAST_1),
    ("recipe.max_steps", _AT_LEAST_1),
    ("recipe.dropout", (lambda x: x is None or 0.0 <= x < 1.0, "at least 0 and below 1, or null")),
    ("recipe.layer_rates.decay", (lambda x: 0.0 < x <= 1.0, "above 0 and at most 1")),
    ("recipe.layer_rates.head_learning_rate", (lambda x: x is None or x > 0.0, "above 0, or null")),
    ("recipe.reinit.layers", _AT_LEAST_0),
    ("recipe.mixout.p", (lambda x: 0.0 <= x <= 1.0, "between 0 and 1")),
    ("recipe.prior_decay.strength", (lambda x: x >= 0.0, "at least 0")),
    ("recipe.freeze.layers", _AT_LEAST_0),
    ("recipe.head.layers", (lambda x: x >= 1, "at least 1")),
    ("recipe.averaging.start_epoch", (lambda x: x is None or x >= 0.0, "at least 0, or null")),
    ("recipe.averaging.learning_rate", (lambda x: x > 0.0, "above 0, for example 2e-6")),
    ("recipe.averaging.anneal_steps", _AT_LEAST_0),
    ("recipe.adapter.rank", (lambda x: x >= 1, "at least 1")),
    ("recipe.adapter.alpha", (lambda x: x > 0.0, "above 0")),
    ("recipe.truncation.head", (lambda x: x >= 1, "at least 1")),
    ("task.split_seed", _AT_LEAST_0),
    ("task.dev_size", _AT_LEAST_1),
    ("task.folds", (lambda x: x is None or x >= 2, "at least 2, or null")),
    ("task.fold", _AT_LEAST_0),
    ("evaluation.start_epoch", (lambda x: x >= 0.0, "at least 0")),
    ("evaluation.patience", _AT_LEAST_0),
    ("diagnostics.gradient_norms", _AT_LEAST_1),
    ("diagnostics.representations", (lambda x: x is None or x >= 4, "at least 4, or null")),
    ("evaluation.per_epoch", _AT_LEAST_0),
    ("evaluation.every", _AT_LEAST_1),
    ("evaluation.batch_size", _AT_LEAST_1),
    *((f"seeds.{stream}", _AT_LEAST_0) for stream in ("init", "order", "dropout", "mixout")),
    *((f"seeds.{stream}", _AT_LEAST_0) for stream in ("mask", "augment", "subsample")),
)

_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("task.kind", ("classification", "regression")),
    ("model.dtype", DTYPES),
    ("recipe.schedule.name", tuple(SCHEDULES)),
    ("recipe.clip.mode", CLIP_MODES),
    ("recipe.dropout_active", ("always", "epoch_start")),
    ("recipe.loss", LOSSES),
    ("recipe.layer_rates.scheme", LAYER_RATE_SCHEMES),
    ("recipe.mixout.granularity", GRANULARITIES),
    ("recipe.head.kind", HEADS),
    ("recipe.adapter.method", ADAPTERS),
    ("recipe.truncation.keep", TRUNCATIONS),
    ("task.dev_split", ("given", "halved", "from_train")),
)


def check_run(run: RunSpec) -> None:
    """Refuse a run whose values can't be trained.

    Raises
    ------
    SeedlabError
        Naming the key, what it got and what is allowed.
    """
    for key, (holds, allowed) in _RANGES:
        value = _get(run, key)
        if not holds(value) or (isinstance(value, float) and not math.isfinite(value)):
            raise SeedlabError(
                f"{_as_override(key)}={value} is out of range; it must be {allowed}."
            )
    _check_choice("task.reader", run.task.reader, tuple(READERS))
    for key, choices in _CHOICES:
        _check_choice(_as_override(key), _get(run, key), choices)
    _check_reader(run.task)
    _check_division(run.task)
    if not run.model.name:
        raise SeedlabError(
            "model.name is not set; name a model of the hub (model=NAME), a local checkpoint "
            "(model.path=FOLDER), or leave model=hub out for the embedded encoder."
        )
    if run.recipe.accumulation > run.recipe.batch_size:
        raise SeedlabError(
            f"recipe.accumulation={run.recipe.accumulation} cuts a batch into more parts than it has "
            f"examples (recipe.batch_size={run.recipe.batch_size}); it must be at most that."
        )
    check_recipe(run.recipe, run.evaluation)


def _check_reader(task: TaskSpec) -> None:
    """Refuse a setting that the task's reader would ignore, or that it can't read with."""
    reader = READERS[task.reader]
    defaults = TaskSpec()
    for other in READERS.values():
        for key in other.settings:
            value = getattr(task, key)
            if key not in reader.settings and value != getattr(defaults, key):
                users = [f"task.reader={r.name}" for r in READERS.values() if key in r.settings]
                instead = (
                    " A subset for training is task.train_size=N." if key == "examples" else ""
                )
                raise SeedlabError(
                    f"task.{key}={value} has no effect on task '{task.name}': it is for tasks with "
                    f"{' or '.join(users)}, and this one has task.reader={task.reader}; leave it "
                    f"out.{instead}"
                )
    if reader.path == "unused" and task.path is not None:
        raise SeedlabError(
            f"task.path={task.path} has no effect on task '{task.name}', which seedlab makes itself; "
            "leave it out, or choose a task that is read from files (task=rte, task=table, ...)."
        )
    reader.check(task)


def _check_division(task: TaskSpec) -> None:
    """Refuse settings of folds and other validation sets that contradict each other."""
    if task.folds is not None and task.dev_split != "given":
        raise SeedlabError(
            f"task.folds={task.folds} and task.dev_split={task.dev_split} can't be combined: a fold of "
            "the training set validates, or another validation set does; leave one of them out."
        )
    if task.folds is not None and task.fold >= task.folds:
        raise SeedlabError(
            f"task.fold={task.fold} does not exist: with task.folds={task.folds} the folds are 0 to "
            f"{task.folds - 1}."
        )
    divided = task.folds is not None or task.dev_split != "given"
    for key, used, where in (
        ("fold", task.folds is not None, "cross-validation, which is task.folds=5"),
        ("dev_size", task.dev_split == "from_train", "task.dev_split=from_train"),
        (
            "split_seed",
            divided,
            "task.folds=5, task.dev_split=halved and task.dev_split=from_train",
        ),
    ):
        if not used and getattr(task, key) != getattr(TaskSpec(), key):
            raise SeedlabError(
                f"task.{key}={getattr(task, key)} has no effect: it is for {where}; leave it out."
            )


def check_engine(engine: EngineSpec) -> None:
    """Refuse engine settings that can't be used."""
    _check_choice("engine.name", engine.name, ("auto", *ENGINES))
    _check_choice("engine.device", engine.device, ("auto", "cpu", "cuda"))
    _check_choice("engine.score", engine.score, ("best", "final"))
    numbers = {"width": engine.width, "threads": engine.threads, "stack": engine.stack}
    for key, value in numbers.items():
        if value is not None and value < 1:
            raise SeedlabError(f"engine.{key}={value} is out of range; it must be at least 1.")
    if engine.graphs and engine.device == "cpu":
        raise SeedlabError(
            "engine.graphs=true records CUDA graphs, which engine.device=cpu does not have; use "
            "engine.graphs=false."
        )
    for key, asked in (
        ("stack", engine.stack is not None),
        ("graphs", engine.graphs),
        ("constant_width", engine.constant_width),
    ):
        if asked and engine.name == "serial":
            raise SeedlabError(
                f"engine.{key} says how the packed engine computes, and engine.name=serial was asked "
                f"for; leave engine.{key} out or use engine=packed."
            )


def _check_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SeedlabError(
            f"{key}={value} is not known; allowed: {', '.join(choices)}.{nearest(value, choices)}"
        )


def _as_override(key: str) -> str:
    """Return the key as a user writes it (the section of the seeds is called `seed`)."""
    return key.replace("seeds.", "seed.")


def _get(run: RunSpec, key: str) -> Any:
    value: Any = run
    for part in key.split("."):
        value = getattr(value, part)
    return value
