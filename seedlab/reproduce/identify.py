"""The identity of a run: its content hashes, and the checks that need data and weights."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

from seedlab.config.recipe_checks import check_recipe_on_model, check_recipe_on_task
from seedlab.errors import SeedlabError
from seedlab.inputs.content import hashes, load_encoded
from seedlab.models.checkpoint_folder import layer_count, locate
from seedlab.reproduce.intermediate import resolve_intermediate
from seedlab.spec.run import ModelSpec, RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.unknown_tokens import check_unknown


@lru_cache(maxsize=16)
def _layer_count(model: ModelSpec) -> int | None:
    return layer_count(locate(model.name, model.path, model.allow_pickle))


def with_hashes(run: RunSpec, studies: Path = Path("studies")) -> RunSpec:
    """Return the run with its content hashes, which complete its identity.

    Parameters
    ----------
    run : RunSpec
    studies : pathlib.Path
        The folder of studies, for runs with an intermediate task.

    Raises
    ------
    seedlab.errors.SeedlabError
        See `load_encoded`, `check_unknown`, `seedlab.reproduce.intermediate` and `seedlab.config.recipe_checks`.
    """
    run = resolve_intermediate(run, studies)
    task = load_encoded(run.task, run.model, run.seeds.subsample, run.recipe.truncation)
    check_unknown(task, run.model.name, run.task.allow_unknown_tokens)
    check_recipe_on_task(run.recipe, task)
    _check_test_curve(run, task)
    if (layers := _layer_count(run.model)) is not None:
        check_recipe_on_model(run.recipe, layers)
    data, weights = hashes(run.task, run.model, run.seeds.subsample, run.recipe.truncation)
    return dataclasses.replace(run, data_hash=data, weights_hash=weights)


def _check_test_curve(run: RunSpec, task: EncodedTask) -> None:
    if run.diagnostics.test_curve and "test" not in task.splits:
        raise SeedlabError(
            f"diagnostics.test_curve=true records test scores, and task '{run.task.name}' has no test "
            "set; make one with task.dev_split=halved or task.dev_split=from_train (task=table: "
            "task.test_file=FILE), or leave the key out."
        )
