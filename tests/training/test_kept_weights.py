"""`evaluation.keep=best`: the weights that the training loop keeps, on a model that names its weights.

The weights of a `Counter` are the number of updates made, and so are its logits. A script gives
the score of these weights. So a result says which weights it comes from.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec, RunSpec
from seedlab.store.checkpoint_file import from_bytes, to_bytes
from seedlab.tasks.encoded import Split
from seedlab.training.batches import Batch
from seedlab.training.checkpoint import Checkpoint
from seedlab.training.history import History
from seedlab.training.kept_weights import KeptWeights, is_best
from seedlab.training.loop import Callbacks, train_column
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, MemoryCheckpointManager, make_run
from tests.suites.tiny import tiny_task

STEPS = 6
TASK = tiny_task(n_train=8, n_dev=2, splits=("train", "dev", "test"))
SHORT = dataclasses.replace(RECIPE, max_steps=STEPS)
LOST = math.inf
"""A scripted score that stands for logits that are not finite."""
Scripts = Sequence[Sequence[float]]
"""The score of every run after 0, 1, ..., `STEPS` updates."""


class Counter:
    """A `PackModel` whose weights count its updates; the first class's logit is the run's number."""

    def __init__(self, scripts: Scripts, lost: Mapping[int, int]) -> None:
        self.scripts, self.lost = scripts, dict(lost)
        self.weights = [0.0] * len(scripts)
        self.runs = list(range(len(scripts)))

    def update(self, batch: Batch, step: int, by_depth: bool) -> tuple[np.ndarray, np.ndarray]:
        self.weights = [value + 1.0 for value in self.weights]
        losses = [math.nan if self.lost.get(run) == step else 1.0 for run in self.runs]
        return np.array(losses), np.ones(len(losses))

    def logits(self, split: Split, averaged: bool) -> np.ndarray:
        found = np.empty((len(self.runs), len(split), 2), dtype=np.float32)
        for slot, (run, value) in enumerate(zip(self.runs, self.weights, strict=True)):
            found[slot] = run, value
            if self.scripts[run][int(value)] == LOST:
                found[slot] = math.nan
        return found

    def drop(self, slots: list[int]) -> None:
        kept = [slot for slot in range(len(self.runs)) if slot not in slots]
        self.runs = [self.runs[slot] for slot in kept]
        self.weights = [self.weights[slot] for slot in kept]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        return {"weights": torch.tensor([self.weights[slot]])}

    def load(self, slot: int, tensors: Mapping[str, torch.Tensor]) -> None:
        self.weights[slot] = float(tensors["weights"][0])

    def scored_weights(self, slot: int) -> dict[str, torch.Tensor]:
        return self.state(slot)

    def put_back(self, slot: int, weights: Mapping[str, torch.Tensor]) -> None:
        self.load(slot, weights)

    def distances(self) -> np.ndarray:
        return np.zeros((len(self.runs), 1))

    def representations(self, split: Split, n: int) -> np.ndarray:
        return np.array(self.weights)[:, None, None, None].astype(np.float32)


def train(
    scripts: Scripts,
    checkpoint_manager: MemoryCheckpointManager | None = None,
    checkpoints: Sequence[Checkpoint] = (),
    *,
    lost: Mapping[int, int] | None = None,
    higher_is_better: bool = True,
    test_curve: bool = False,
    **evaluation: object,
) -> tuple[list[History], Counter]:
    """Return the histories of runs with these scores, and the model as the loop left it."""
    spec = EvaluationSpec(**{"every": 1, "keep": "best", **evaluation})
    seen = DiagnosticsSpec(representations=4, test_curve=test_curve)
    runs = [
        make_run(init, recipe=SHORT, evaluation=spec, diagnostics=seen)
        for init in range(len(scripts))
    ]

    def score(logits: np.ndarray, split: Split) -> dict[str, float]:
        run, weights = logits[0].astype(int).tolist()
        return {"scripted": scripts[run][weights]}

    model = Counter(scripts, lost or {})
    for slot, checkpoint in enumerate(checkpoints):
        model.load(slot, checkpoint.tensors)
    callbacks = Callbacks(
        score, lambda run, step, value: None, higher_is_better, checkpoint_manager
    )
    plan = make_plan(runs[0].recipe, spec, len(TASK.splits["train"]))
    return train_column(model, runs, plan, TASK, callbacks, checkpoints), model


def used(history: History, split: str) -> int:
    """Return the number of updates before the weights of a split's logits."""
    return int(history.logits[split][0, 1])


def curve(history: History) -> list[float]:
    return [e.value for e in history.evaluations if e.split == "dev"]


def first_best(scores: Sequence[float]) -> int | None:
    """Return the first step after 0 with the highest score; None if no score is a number."""
    numbers = {step: s for step, s in enumerate(scores) if step > 0 and not math.isnan(s)}
    return None if not numbers else min(numbers, key=lambda step: (-numbers[step], step))


scripts_of_three = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, math.nan]), min_size=STEPS + 1, max_size=STEPS + 1),
    min_size=3,
    max_size=3,
)


@settings(max_examples=15, deadline=None)
@given(scripts_of_three, st.sampled_from([None, 0, 1]), st.integers(1, STEPS - 1))
def test_the_first_of_the_best_evaluations_after_step_0_is_kept(
    scripts: Scripts, patience: int | None, interrupted: int
) -> None:
    """Ties keep the first; NaN and step 0 never count; the curve is that of `keep=final`.

    A run that is interrupted and continues from the bytes of a checkpoint keeps the same weights.
    """
    found, _ = train(scripts, patience=patience)
    plain, _ = train(scripts, patience=patience, keep="final")
    for history, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(curve(history), curve(other))
        assert history.losses == other.losses
        end = len(history.losses)
        assert (used(other, "dev"), used(other, "test"), other.kept) == (end, end, None)
        best = first_best(curve(history))
        kept = end if best is None else best
        assert (used(history, "dev"), used(history, "test")) == (kept, kept)
        assert history.representations is not None
        assert history.representations.item() == kept
        assert (None if history.kept is None else history.kept.step) == best
        assert history.kept is None or history.kept.tensors == {}, "the copies are freed"
        assert [e.step for e in history.evaluations if e.split == "test"] == [kept]
    if patience is None:
        manager = MemoryCheckpointManager(every=interrupted)
        train(scripts, manager)
        saved = [from_bytes(to_bytes(one, {})) for one in manager.kept.values()]
        for history, other in zip(found, train(scripts, None, saved)[0], strict=True):
            assert [used(other, split) for split in ("dev", "test")] == [
                used(history, split) for split in ("dev", "test")
            ]
            assert other.kept == history.kept
            np.testing.assert_array_equal(curve(other), curve(history))


@pytest.mark.parametrize("keep", ["final", "best"])
def test_with_a_test_curve_every_evaluation_has_one_test_score(keep: str) -> None:
    """Also at the last step, at that of the kept weights, and where a run's patience is exhausted."""
    scripts = [(0.1, 0.3, 0.2, 0.1, 0.2, 0.2, 0.2), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]
    found, _ = train(scripts, test_curve=True, patience=2, keep=keep)
    for history, script, end in zip(found, scripts, (4, STEPS), strict=True):
        tests = {e.step: e.value for e in history.evaluations if e.split == "test"}
        assert tests == dict(enumerate(script[: end + 1]))
        assert len([e for e in history.evaluations if e.split == "test"]) == end + 1
    assert used(found[0], "test") == (1 if keep == "best" else 4)


def test_where_lower_is_better_the_smallest_score_is_kept() -> None:
    (history,), model = train([(0.1, 0.6, 0.3, 0.2, 0.2, 0.4, 0.9)], higher_is_better=False)
    assert (used(history, "dev"), used(history, "test"), model.weights) == (3, 3, [3.0])


def test_one_evaluation_keeps_the_final_weights_without_a_copy() -> None:
    script = [(0.9,) * (STEPS + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(Counter, "scored_weights")
        (history,), _ = train(script, every=None, per_epoch=0)
    assert history.kept == KeptWeights(STEPS, 0.9, {})
    assert used(history, "test") == STEPS


@pytest.mark.parametrize("scored", [True, False], ids=["by a logit", "by its loss"])
def test_a_run_that_diverges_stays_diverged_and_keeps_its_best_weights(scored: bool) -> None:
    """Its other splits are not scored; the model has the kept weights, and a neighbour its own."""
    script = [0.0, 0.5, 0.7, 0.6, LOST if scored else 0.9, 0.0, 0.0]
    lost = {} if scored else {0: 3}
    (gone,), model = train([script], lost=lost)
    assert (gone.status, used(gone, "dev"), set(gone.logits)) == ("diverged", 2, {"dev"})
    assert model.weights == [2.0]
    both, model = train([script, [0.1] * (STEPS + 1)], lost=lost)
    assert [h.status for h in both] == ["diverged", "finished"]
    assert (used(both[1], "test"), model.weights) == (1, [1.0])


def test_a_stopped_run_has_its_best_weights_so_far() -> None:
    """Its checkpoint has the live ones too, from which it continues."""
    script = [0.0, 0.5, 0.7, 0.6, 0.6, 0.8, 0.1]
    manager = MemoryCheckpointManager(until=4)
    (stopped,), model = train([script], manager)
    assert (stopped.status, used(stopped, "dev"), model.weights) == ("stopped", 2, [2.0])
    (saved,) = manager.kept.values()
    assert saved.tensors["weights"].tolist() == [4.0]
    (history,), _ = train([script], None, [saved])
    assert (used(history, "dev"), len(history.losses)) == (5, STEPS)


@pytest.mark.parametrize("higher", [True, False])
def test_the_rule_of_a_single_evaluation(higher: bool) -> None:
    kept = KeptWeights(3, 0.5, {})
    assert not is_best(kept, 4, 0.5, higher)
    assert not is_best(None, 0, 0.5, higher)
    for value, step in itertools.product((math.nan, math.inf, -math.inf), (0, 4)):
        assert not is_best(None, step, value, higher)
    values = [0.4, 0.6] if higher else [0.6, 0.4]
    assert [is_best(kept, 4, value, higher) for value in values] == [False, True]
    assert is_best(None, 1, 0.0, higher)


def test_the_default_keeps_the_final_weights() -> None:
    assert RunSpec().evaluation.keep == "final"
