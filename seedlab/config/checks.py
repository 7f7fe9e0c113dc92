"""Checks of a run's values, made before anything is read or trained."""

from __future__ import annotations

from collections.abc import Mapping

from seedlab.allowed import AT_LEAST_0, AT_LEAST_1, FRACTION, Allowed, OneOf, Range, check_values
from seedlab.config.recipe_checks import allowed_in_recipes, check_recipe
from seedlab.engines import ENGINES
from seedlab.errors import SeedlabError
from seedlab.randomness.streams import STREAMS
from seedlab.spec.early_stopping import allowed_in_early_stopping
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import DTYPES, RunSpec, TaskSpec
from seedlab.tasks.metrics import METRICS
from seedlab.tasks.registry import READERS
from seedlab.tasks.subset import SUBSETS

_ALLOWED: Mapping[str, Allowed] = {
    "task.kind": OneOf(("classification", "regression")),
    "task.max_length": Range(4, note=" (two special tokens and some text)"),
    "task.train_size": AT_LEAST_1,
    "task.subset": OneOf(SUBSETS),
    "task.examples": AT_LEAST_1,
    "task.dev_examples": AT_LEAST_1,
    "task.noise": FRACTION,
    "task.dev_split": OneOf(("given", "halved", "from_train")),
    "task.split_seed": AT_LEAST_0,
    "task.dev_size": AT_LEAST_1,
    "task.folds": Range(2, note=", or null"),
    "task.fold": AT_LEAST_0,
    "model.dtype": OneOf(DTYPES),
    "evaluation.start_epoch": AT_LEAST_0,
    "evaluation.patience": AT_LEAST_0,
    "evaluation.keep": OneOf(("final", "best")),
    "evaluation.per_epoch": AT_LEAST_0,
    "evaluation.every": AT_LEAST_1,
    "evaluation.batch_size": AT_LEAST_1,
    "diagnostics.gradient_norms": AT_LEAST_1,
    "diagnostics.representations": Range(4, note=", or null"),
}


_OF_ENGINE: Mapping[str, Allowed] = {
    "name": OneOf(("auto", *ENGINES)),
    "device": OneOf(("auto", "cpu", "cuda")),
    "score": OneOf(("best", "final")),
    "width": AT_LEAST_1,
    "threads": AT_LEAST_1,
    "stack": AT_LEAST_1,
    "workers_per_gpu": AT_LEAST_1,
}


def allowed_values() -> dict[str, Allowed]:
    """Return the range or the choice of every key that has one, by its name in a configuration."""
    return {
        "task.reader": OneOf(tuple(READERS)),
        "task.metric": OneOf(tuple(METRICS)),
        **_ALLOWED,
        **allowed_in_recipes(),
        **{f"seed.{stream}": AT_LEAST_0 for stream in STREAMS},
        **{f"engine.{key}": allowed for key, allowed in _OF_ENGINE.items()},
        **allowed_in_early_stopping(),
    }


def check_run(run: RunSpec) -> None:
    """Refuse a run whose values can't be trained.

    Raises
    ------
    SeedlabError
        Naming the key, its value and the allowed ones.
    """
    OneOf(tuple(READERS)).check("task.reader", run.task.reader)
    check_values(run, _ALLOWED)
    check_values(run.seeds, dict.fromkeys(STREAMS, AT_LEAST_0), "seed.")
    _check_reader(run.task)
    _check_division(run.task)
    if not run.model.name:
        raise SeedlabError(
            "model.name is not set; name a model of the hub (model=NAME), a local checkpoint "
            "(model.path=FOLDER), or leave model=hub out for the embedded encoder."
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
    """Refuse settings of subsets, folds and other validation sets that contradict each other."""
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
    for key, used, user in (
        ("subset", task.train_size is not None, "a training subset, which is task.train_size=N"),
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
                f"task.{key}={getattr(task, key)} has no effect: it is for {user}; leave it out."
            )


def check_engine(engine: EngineSpec) -> None:
    """Refuse engine settings that can't be used."""
    check_values(engine, _OF_ENGINE, "engine.")
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
                f"engine.{key} is a setting of the packed engine, and engine.name=serial was asked "
                f"for; leave engine.{key} out or use engine=packed."
            )
