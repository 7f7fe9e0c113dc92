"""Small tasks and results for the tests of the store; imports neither torch nor pytest."""

from __future__ import annotations

import dataclasses

import numpy as np

from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import ModelSpec, RunSpec, Seeds, TaskSpec
from seedlab.store.make_record import make_record
from seedlab.store.run_arrays import encode
from seedlab.store.run_folders import publish
from seedlab.store.study import StudyFolder
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.result import Evaluation, Profile, RunResult


def make_split(labels: np.ndarray, truncated: int = 0) -> Split:
    lengths = np.arange(len(labels)) % 3 + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(offsets[-1], dtype=np.int32)
    return Split(ids, np.zeros_like(ids, dtype=np.int8), offsets, labels, truncated)


def make_task(
    *, n_labels: int = 2, dev: int = 20, metric: str | None = None, test: bool = False
) -> EncodedTask:
    """A task whose labels cycle through the classes; class 0 gets half of them and more."""
    rng = np.random.default_rng(dev)

    def labels(n: int) -> np.ndarray:
        if n_labels == 1:
            return rng.normal(size=n)
        values = np.arange(n) % n_labels
        values[: n // 4] = 0
        return values.astype(np.int64)

    splits = {"train": make_split(labels(32), 3), "dev": make_split(labels(dev), 1)}
    if test:
        splits["test"] = make_split(labels(dev + 1))
    metrics = (metric or ("accuracy" if n_labels > 1 else "pearson"),)
    names = tuple(f"class{i}" for i in range(n_labels)) if n_labels > 1 else ()
    return EncodedTask("acceptability", splits, n_labels, names, metrics, 0, 16)


def make_spec(
    init: int = 0, order: int = 0, *, task: str = "acceptability", recipe: str = "devlin"
) -> RunSpec:
    return RunSpec(
        task=TaskSpec(name=task),
        model=ModelSpec(name="embedded"),
        recipe=RecipeSpec(name=recipe),
        seeds=Seeds(init=init, order=order),
        data_hash="d" * 32,
        weights_hash="e" * 32,
    )


def make_result(
    task: EncodedTask,
    init: int = 0,
    order: int = 0,
    *,
    scores: tuple[float, ...] = (0.5, 0.9),
    steps: int = 6,
    status: str = "finished",
    spec: RunSpec | None = None,
    **provenance: object,
) -> RunResult:
    """A result with `scores` spread over its steps on every split but the training set."""
    rng = np.random.default_rng([init, order])
    spec = spec or make_spec(init, order, task=task.name)
    spec = dataclasses.replace(spec, seeds=Seeds(init=init, order=order))
    splits = [name for name in task.splits if name != "train"]
    at = np.linspace(0, steps, len(scores)).astype(int)
    evaluations = tuple(
        Evaluation(int(step), int(step) / 2, split, metric, score)
        for step, score in zip(at, scores, strict=True)
        for split in splits
        for metric in task.metrics
    )
    return RunResult(
        spec=spec,
        status=status,
        evaluations=evaluations,
        losses=rng.normal(size=steps),
        learning_rates=np.linspace(2e-5, 0, steps),
        grad_norms=rng.random(steps),
        logits={
            split: rng.normal(size=(len(task.splits[split]), task.n_labels)).astype(np.float32)
            for split in splits
        },
        total_steps=steps,
        seconds=1.5 + init,
        provenance={"engine": "serial", "width": 1, "slot": 0, "threads": 1, "device": "cpu"}
        | provenance,
    )


def watched(result: RunResult, depths: int = 4) -> RunResult:
    """The same result with diagnostics: two norms, two distances, three examples."""
    rng = np.random.default_rng(5)
    profiles = tuple(
        Profile(step, name, tuple(rng.random(depths)))
        for step in (0, 3)
        for name in ("distance", "gradient_norm")
    )
    tokens = rng.normal(size=(depths - 1, 3, 5)).astype(np.float32)
    return dataclasses.replace(result, profiles=profiles, representations=tokens)


def copy_runs(study: StudyFolder, result: RunResult, task: EncodedTask, runs: int) -> None:
    """Put the same result on record under the names and seeds of many runs."""
    record, files = make_record(result, task), encode(result, task)
    for number in range(runs):
        seeds = record.seeds | {"init": number // 25, "order": number % 25}
        copy = dataclasses.replace(record, run_id=f"{number:020x}", seeds=seeds)
        publish(study.folder, copy, files)
