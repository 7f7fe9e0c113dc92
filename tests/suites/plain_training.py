"""Short trainings of the serial engine, and the trained models."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from seedlab.engines.serial.engine import SerialEngine
from seedlab.engines.serial.pack_model import SerialModel
from seedlab.models.pretrained import Weights
from seedlab.spec.run import ModelSpec, RunSpec
from seedlab.training.batches import Batch, collate, training_batches
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, callbacks, make_run
from tests.suites.techniques import model_options
from tests.suites.tiny import tiny_task, tiny_weights


def run_with(init: int = 0, order: int = 0, **recipe: Any) -> RunSpec:
    """Return a run of the suite's recipe, changed, in float64."""
    changed = dataclasses.replace(RECIPE, **recipe)
    return make_run(init, order, recipe=changed, model=ModelSpec(dtype="float64"))


def weights_for(run: RunSpec, folder: Path, architecture: str = "bert", **load: Any) -> Weights:
    """Return the small checkpoint, loaded as the run's recipe wants it, in float64."""
    return tiny_weights(
        folder, architecture, **{"dtype": torch.float64, **model_options(run.recipe), **load}
    )


def trained(
    run: RunSpec, folder: Path, architecture: str = "bert", n_labels: int = 2, **load: Any
) -> tuple[RunResult, Weights]:
    """Train a run; return its result and the trained model."""
    task = tiny_task(n_labels=n_labels)
    weights = weights_for(run, folder, architecture, n_labels=n_labels, **load)
    (result,) = SerialEngine().train([run], task, weights, callbacks(task))
    return result, weights


def trainee_of(run: RunSpec, weights: Weights) -> SerialModel:
    """Return the run before its first update."""
    task = tiny_task()
    plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
    return SerialModel(run, task, weights, plan, {})


def first_batch(run: RunSpec) -> Batch:
    """Return the run's first batch."""
    task = tiny_task()
    train = task.splits["train"]
    order = training_batches(len(train), run.recipe.batch_size, run.seeds.order)
    return collate(train, next(order), task.pad_id)


def changed(weights: Weights) -> set[str]:
    """Return the names of the tensors that differ from the checkpoint's, by one bit or more."""
    now = weights.model.state_dict()
    return {
        name for name, tensor in weights.pretrained.items() if not torch.equal(tensor, now[name])
    }


def parameters(weights: Weights) -> set[str]:
    """Return the names of all parameters."""
    return {name for name, _ in weights.model.named_parameters()}
