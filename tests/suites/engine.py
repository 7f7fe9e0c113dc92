"""`EngineSuite`: what every engine promises. Subclass it and say how to make the engine.

class TestMyEngine(EngineSuite):
    def engine(self):
        return MyEngine()
"""

from __future__ import annotations

import copy
import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.choice import unpackable
from seedlab.engines.serial import SerialEngine
from seedlab.recipe_spec import (
    AdapterSpec,
    AveragingSpec,
    ClipSpec,
    FeaturesSpec,
    FreezeSpec,
    HeadSpec,
    LayerRatesSpec,
    MixoutSpec,
    OptimizerSpec,
    PriorDecaySpec,
    RecipeSpec,
    ReinitSpec,
    ScheduleSpec,
)
from seedlab.spec import DiagnosticsSpec, EvaluationSpec, ModelSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.train.checkpoint import Checkpoint, Keeper
from seedlab.train.loop import Watch
from seedlab.train.result import RunResult
from seedlab.train.structure import structure_of
from tests.suites.reference import reference_run
from tests.suites.tiny import ARCHITECTURES, tiny_task, tiny_weights

RECIPE = RecipeSpec(
    name="suite",
    optimizer=OptimizerSpec(learning_rate=3e-3, bias_correction=False),
    schedule=ScheduleSpec(warmup_ratio=0.2),
    batch_size=8,
    epochs=4,
)
EVALUATION = EvaluationSpec(per_epoch=2, batch_size=5)


def make_run(init: int = 0, order: int = 0, **changes: Any) -> RunSpec:
    """Return a run of the suite's recipe."""
    return dataclasses.replace(
        RunSpec(recipe=RECIPE, evaluation=EVALUATION, seeds=Seeds(init, order).resolved()),
        **changes,
    )


def accuracy(logits: np.ndarray, split: Split) -> dict[str, float]:
    """Score as the suite does; the engines know no metric."""
    if logits.shape[1] == 1:
        return {"rmse": float(np.sqrt(np.mean((logits[:, 0] - split.labels) ** 2)))}
    return {"accuracy": float(np.mean(logits.argmax(1) == split.labels))}


TECHNIQUES: dict[str, dict[str, Any]] = {
    "zhang": {"layer_rates": LayerRatesSpec("zhang", decay=0.8)},
    "chang": {"layer_rates": LayerRatesSpec("chang", decay=0.8, head_learning_rate=5e-3)},
    "grouped": {"layer_rates": LayerRatesSpec("grouped")},
    "reinit": {"reinit": ReinitSpec(layers=1)},
    "mixout": {"mixout": MixoutSpec(p=0.3)},
    "mixout by element": {"mixout": MixoutSpec(p=0.3, granularity="element", keep_dropout=True)},
    "prior decay": {"prior_decay": PriorDecaySpec(strength=5.0)},
    "prior decay of all": {"prior_decay": PriorDecaySpec(strength=5.0, anchor_head=True)},
    "freeze": {"freeze": FreezeSpec(layers=1)},
    "freeze embeddings": {"freeze": FreezeSpec(layers=0, dropout=False)},
    "averaging": {"averaging": AveragingSpec(start_epoch=1.4, learning_rate=1e-3, anneal_steps=4)},
    "bitfit": {"adapter": AdapterSpec("bitfit")},
    "lora": {"adapter": AdapterSpec("lora", rank=3, alpha=6.0)},
    "features": {"features": FeaturesSpec(active=True)},
    "features of several layers": {
        "features": FeaturesSpec(active=True),
        "head": HeadSpec("concat", layers=2),
    },
    "features of the own head": {"features": FeaturesSpec(active=True)},
    "lora above": {"adapter": AdapterSpec("lora", rank=2), "freeze": FreezeSpec(layers=1)},
    "cosine": {"schedule": ScheduleSpec("cosine")},
    "Chang's full set": {
        "layer_rates": LayerRatesSpec("grouped"),
        "reinit": ReinitSpec(layers=1),
        "averaging": AveragingSpec(start_epoch=2, learning_rate=1e-3, per_group=False),
        "schedule": ScheduleSpec(warmup_steps=5),
    },
    "mixout with prior decay": {
        "mixout": MixoutSpec(p=0.2),
        "prior_decay": PriorDecaySpec(strength=5.0),
    },
    "freeze with features": {
        "freeze": FreezeSpec(layers=1, dropout=False),
        "features": FeaturesSpec(active=True),
    },
    "freeze with layer rates": {
        "freeze": FreezeSpec(layers=1),
        "layer_rates": LayerRatesSpec("zhang", decay=0.5),
    },
}
"""Techniques, and some of their compositions, by what they change in the suite's recipe."""

STATEFUL = ("mixout", "prior decay", "freeze", "averaging", "lora", "Chang's full set")
"""Those of which something must survive an interruption, or be made again after it."""


def structure(recipe: RecipeSpec) -> dict[str, Any]:
    """Return what a recipe changes in the model itself, for `tiny_weights`."""
    return {
        name: value for name, value in structure_of(recipe)._asdict().items() if value is not None
    }


def unknown_to_the_engine(engine: Any, run: RunSpec) -> str:
    """Return why an engine leaves a run to the serial one; empty if it does not."""
    return "" if engine.name == "serial" else unpackable(run)


class MemoryKeeper:
    """Keeps checkpoints in memory, as bytes would be kept: copies, not references."""

    def __init__(self, every: int | None = None, pause: int | None = None) -> None:
        self.every, self.pause = every, pause
        self.kept: dict[str, Checkpoint] = {}

    def load(self, run_id: str) -> Checkpoint | None:
        """Return a copy of the newest checkpoint."""
        return copy.deepcopy(self.kept.get(run_id))

    def save(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep a copy."""
        self.kept[run_id] = copy.deepcopy(checkpoint)


def watch(task: EncodedTask, keeper: Keeper | None = None) -> Watch:
    """Return the suite's scoring, and somebody who listens to nothing."""
    return Watch(accuracy, lambda run_id, step, value: None, not task.is_regression, keeper)


class EngineSuite:
    """The contract of an engine, on small random models."""

    narrowest = 1
    """Fewest runs of a pack in which a run has the bits that it has in every wider one."""

    def engine(self) -> Any:
        """Return the engine under test."""
        raise AssertionError("a suite's subclass must say which engine it tests")

    def train(
        self,
        runs: list[RunSpec],
        folder: Path,
        architecture: str = "bert",
        task: EncodedTask | None = None,
        keeper: Keeper | None = None,
        **load: Any,
    ) -> list[RunResult]:
        """Train runs and return their results in the order of the runs."""
        task = task or tiny_task()
        weights = tiny_weights(folder, architecture, n_labels=task.n_labels, **load)
        results = list(self.engine().train(runs, task, weights, watch(task, keeper)))
        by_id = {result.spec.run_id: result for result in results}
        assert len(by_id) == len(runs)
        return [by_id[run.run_id] for run in runs]

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_float64_training_equals_a_plain_loop(self, architecture: str, tmp_path: Path) -> None:
        """A whole training without dropout, in float64: the losses agree to 1e-9.

        The two sum in different orders (foreach against one tensor at a time), which costs a
        few ulps of 2e-16 per step; 1e-9 leaves room for their growth over 20 steps.
        """
        run = make_run(init=3, order=4, model=ModelSpec(dtype="float64"))
        (result,) = self.train([run], tmp_path, architecture, dtype=torch.float64, dropout=0.0)
        losses, logits = reference_run(
            tmp_path / architecture, run, tiny_task(), dtype=torch.float64
        )
        np.testing.assert_allclose(result.losses, losses, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(result.logits["dev"], logits, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("bias_correction", [True, False])
    @pytest.mark.parametrize("mode", ["global", "tensor", "none"])
    def test_float32_losses_equal_a_plain_loop(
        self, bias_correction: bool, mode: str, tmp_path: Path
    ) -> None:
        """The first 20 losses in float32 agree to 1e-4: rounding (6e-8) amplified by Adam."""
        recipe = dataclasses.replace(
            RECIPE,
            optimizer=OptimizerSpec(learning_rate=1e-3, bias_correction=bias_correction),
            clip=ClipSpec(mode=mode, norm=0.5),
        )
        run = make_run(recipe=recipe)
        (result,) = self.train([run], tmp_path, dropout=0.0)
        losses, _ = reference_run(tmp_path / "bert", run, tiny_task())
        np.testing.assert_allclose(result.losses, losses, rtol=1e-4, atol=1e-5)

    def test_regression_equals_a_plain_loop(self, tmp_path: Path) -> None:
        """Squared error on one output, float64 (tolerance as above)."""
        task = tiny_task(n_labels=1)
        run = make_run(model=ModelSpec(dtype="float64"))
        (result,) = self.train([run], tmp_path, task=task, dtype=torch.float64, dropout=0.0)
        losses, _ = reference_run(tmp_path / "bert", run, task, dtype=torch.float64)
        np.testing.assert_allclose(result.losses, losses, rtol=1e-9, atol=1e-12)

    def test_accumulation_makes_the_same_update(self, tmp_path: Path) -> None:
        """Cutting a batch into parts changes sums by rounding alone, dropout included."""
        whole, parts = make_run(), make_run(recipe=dataclasses.replace(RECIPE, accumulation=3))
        load = {"dtype": torch.float64}
        first = self.train([whole], tmp_path, **load)[0]
        second = self.train([parts], tmp_path, **load)[0]
        np.testing.assert_allclose(first.losses, second.losses, rtol=1e-9)

    def test_replay_is_bitwise(self, tmp_path: Path) -> None:
        """L0: the same runs in the same pack give the same bits."""
        runs = [make_run(init, order) for order in (0, 1) for init in (0, 1)]
        for a, b in zip(self.train(runs, tmp_path), self.train(runs, tmp_path), strict=True):
            assert_same(a, b)

    def test_neighbours_do_not_matter(self, tmp_path: Path) -> None:
        """L1: a run's bits do not depend on which runs share its pack, nor on its place."""
        a, b, c = make_run(0, 5), make_run(1, 5), make_run(2, 5)
        first = self.train([a, b], tmp_path)[0]
        second = self.train([c, a], tmp_path)[1]
        assert_same(first, second)

    def test_no_global_generator_is_read_or_set(self, tmp_path: Path) -> None:
        """The states of torch's, numpy's and Python's global generators stay as they were."""
        weights = tiny_weights(tmp_path)
        states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        engine = self.engine()
        list(engine.train([make_run()], tiny_task(), weights, watch(tiny_task())))
        after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        assert torch.equal(states[0], after[0])
        assert all(np.array_equal(x, y) for x, y in zip(states[1], after[1], strict=True))
        assert states[2] == after[2]

    def test_evaluating_more_often_changes_nothing(self, tmp_path: Path) -> None:
        """Evaluation advances no stream and leaves no mode changed: the same losses, bitwise."""
        often = make_run(evaluation=EvaluationSpec(every=1, batch_size=5))
        seldom = make_run(evaluation=EvaluationSpec(per_epoch=0, at_start=False, batch_size=5))
        a, b = self.train([often], tmp_path)[0], self.train([seldom], tmp_path)[0]
        assert np.array_equal(a.losses, b.losses)
        assert np.array_equal(a.logits["dev"], b.logits["dev"])
        assert [e.step for e in a.evaluations] == list(range(21))
        assert [e.step for e in b.evaluations] == [20]

    def test_dropout_changes_the_losses_but_not_the_order(self, tmp_path: Path) -> None:
        """Toggling dropout keeps the first batch: its loss is the only one that can agree."""
        with_dropout = self.train([make_run()], tmp_path)[0]
        without = self.train([make_run()], tmp_path, dropout=0.0)[0]
        assert not np.array_equal(with_dropout.losses, without.losses)
        other = make_run(seeds=Seeds(0, 0, dropout=9).resolved())
        assert not np.array_equal(self.train([other], tmp_path)[0].losses, with_dropout.losses)
        np.testing.assert_array_equal(
            self.train([other], tmp_path, dropout=0.0)[0].losses, without.losses
        )

    def test_a_diverged_run_ends_alone(self, tmp_path: Path) -> None:
        """A loss that is no number ends its run, with its curve kept; the others go on."""
        wild = dataclasses.replace(
            RECIPE,
            optimizer=OptimizerSpec(learning_rate=1e38, bias_correction=False),
            schedule=ScheduleSpec(warmup_ratio=0.0),
            clip=ClipSpec(mode="none"),
        )
        runs = [make_run(0), make_run(1, recipe=wild), make_run(2)]
        calm, bad, other = self.train(runs, tmp_path)
        assert (calm.status, bad.status, other.status) == ("finished", "diverged", "finished")
        assert len(bad.losses) < 20
        assert bad.evaluations[0].step == 0
        assert_same(calm, self.train([runs[0], make_run(3)], tmp_path)[0])

    @pytest.mark.parametrize("technique", TECHNIQUES)
    def test_a_technique_equals_the_specification(self, technique: str, tmp_path: Path) -> None:
        """Two runs, a whole training in float64 with dropout: losses and logits as serial's.

        Tolerance as for the plain loop: the engines sum in different orders.
        """
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES[technique])
        model = ModelSpec(dtype="float64")
        runs = [make_run(init, 4, recipe=recipe, model=model) for init in (0, 1)]
        if self.engine().name == "serial":
            pytest.skip("it is the specification: tests/recipes compares it with plain loops")
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        load = {"dtype": torch.float64, **structure(recipe)}
        results = self.train(runs, tmp_path, **load)
        weights = tiny_weights(tmp_path, **load)
        task = tiny_task()
        for result, other in zip(
            results, SerialEngine().train(runs, task, weights, watch(task)), strict=True
        ):
            np.testing.assert_allclose(result.losses, other.losses, rtol=1e-8, atol=1e-11)
            np.testing.assert_allclose(result.grad_norms, other.grad_norms, rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(result.learning_rates, other.learning_rates)
            assert [(e.step, e.split) for e in result.evaluations] == [
                (e.step, e.split) for e in other.evaluations
            ]
            np.testing.assert_allclose(
                result.logits["dev"], other.logits["dev"], rtol=1e-4, atol=1e-5
            )

    def test_root_of_the_squared_error_equals_the_specification(self, tmp_path: Path) -> None:
        """Regression on the root of the batch's mean squared error; tolerance as above."""
        task, model = tiny_task(n_labels=1), ModelSpec(dtype="float64")
        run = make_run(recipe=dataclasses.replace(RECIPE, loss="rmse"), model=model)
        if reason := unknown_to_the_engine(self.engine(), run):
            pytest.skip(reason)
        (result,) = self.train([run], tmp_path, task=task, dtype=torch.float64)
        weights = tiny_weights(tmp_path, n_labels=1, dtype=torch.float64)
        (other,) = SerialEngine().train([run], task, weights, watch(task))
        np.testing.assert_allclose(result.losses, other.losses, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(result.grad_norms, other.grad_norms, rtol=1e-6)
        plain = dataclasses.replace(run, recipe=RECIPE)
        (mean,) = self.train([plain], tmp_path, task=task, dtype=torch.float64)
        assert result.losses[0] == pytest.approx(np.sqrt(mean.losses[0]), rel=1e-12)

    @pytest.mark.parametrize("technique", ["", "prior decay", "reinit", "freeze", "mixout", "lora"])
    def test_diagnostics_equal_the_specification(self, technique: str, tmp_path: Path) -> None:
        """Norms, distances (words out of reach included) and first tokens; float64."""
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
        model, watched = ModelSpec(dtype="float64"), DiagnosticsSpec(5, True, 6)
        runs = [make_run(init, recipe=recipe, model=model, diagnostics=watched) for init in (0, 1)]
        if self.engine().name == "serial":
            pytest.skip("it is the specification")
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        load = {"dtype": torch.float64, **structure(recipe)}
        results = self.train(runs, tmp_path, **load)
        weights, task = tiny_weights(tmp_path, **load), tiny_task()
        for result, other in zip(
            results, SerialEngine().train(runs, task, weights, watch(task)), strict=True
        ):
            assert len(result.profiles) == len(other.profiles) > 8
            for a, b in zip(result.profiles, other.profiles, strict=True):
                assert (a.step, a.name) == (b.step, b.name)
                np.testing.assert_allclose(a.values, b.values, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(
                result.representations, other.representations, rtol=1e-5, atol=1e-6
            )

    @pytest.mark.parametrize(
        "technique",
        [
            name if name in ("", *STATEFUL) else pytest.param(name, marks=pytest.mark.slow)
            for name in ("", *TECHNIQUES)
        ],
    )
    def test_a_run_goes_on_as_if_never_interrupted(self, technique: str, tmp_path: Path) -> None:
        """Paused at step 12 and taken up by a new engine, beside others: the same bits."""
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
        runs = [make_run(init, 2, recipe=recipe) for init in range(3)]
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        whole = self.train(runs, tmp_path, **structure(recipe))
        keeper = MemoryKeeper(pause=12)
        paused = self.train(runs, tmp_path, keeper=keeper, **structure(recipe))
        assert {result.status for result in paused} == {"paused"}
        assert {len(result.losses) for result in paused} == {12}
        keeper.pause = None
        for chosen in [(2,), (0,)] if self.narrowest == 1 else [(2, 0)]:
            some = [runs[at] for at in chosen]
            late = self.train(some, tmp_path, keeper=keeper, **structure(recipe))
            for at, result in zip(chosen, late, strict=True):
                assert_same(result, whole[at])

    def test_checkpoints_on_the_way_change_nothing(self, tmp_path: Path) -> None:
        """Every 5 of 20 steps; what goes on from the last of them ends with the same bits."""
        runs = [make_run(0), make_run(1)]
        whole, keeper = self.train(runs, tmp_path), MemoryKeeper(every=5)
        for a, b in zip(whole, self.train(runs, tmp_path, keeper=keeper), strict=True):
            assert_same(a, b)
        assert {c.step for c in keeper.kept.values()} == {15}
        for a, b in zip(whole, self.train(runs, tmp_path, keeper=keeper), strict=True):
            assert_same(a, b)

    def test_a_run_whose_patience_is_over_ends_alone(self, tmp_path: Path) -> None:
        """More than one evaluation without a strict gain ends it; all splits are scored then."""
        task = tiny_task(splits=("train", "dev", "test"))
        patient = make_run(evaluation=EvaluationSpec(every=1, batch_size=5, patience=1))
        runs = [dataclasses.replace(patient, seeds=Seeds(init, 0).resolved()) for init in range(4)]
        results = self.train(runs, tmp_path, task=task)
        for run, result in zip(runs, results, strict=True):
            scores = [e.value for e in result.evaluations if e.split == "dev"]
            best, idle = scores[0], 0
            for number, value in enumerate(scores[1:], 1):
                best, idle = (value, 0) if value > best else (best, idle + 1)
                assert idle <= 1 or number == len(scores) - 1
            assert result.status == "finished"
            assert len(result.losses) == len(scores) - 1
            assert len(result.losses) == 20 or idle == 2
            assert [e.step for e in result.evaluations if e.split == "test"] == [len(scores) - 1]
            free = dataclasses.replace(run, evaluation=EvaluationSpec(every=1, batch_size=5))
            (other,) = self.train([free], tmp_path, task=task)
            np.testing.assert_array_equal(result.losses, other.losses[: len(result.losses)])
        assert any(len(result.losses) < 20 for result in results)

    def test_diagnostics_change_no_result(self, tmp_path: Path) -> None:
        """Gradient norms add up to the whole norm, and nothing has moved at step 0."""
        run = make_run()
        watched = make_run(diagnostics=DiagnosticsSpec(3, True, 6))
        if reason := unknown_to_the_engine(self.engine(), watched):
            pytest.skip(reason)
        (a,), (b,) = self.train([run], tmp_path), self.train([watched], tmp_path)
        np.testing.assert_array_equal(a.losses, b.losses)
        np.testing.assert_array_equal(a.logits["dev"], b.logits["dev"])
        norms = [p for p in b.profiles if p.name == "gradient_norm"]
        assert [p.step for p in norms] == [0, 3, 6, 9, 12, 15, 18]
        for profile in norms:
            whole = np.sqrt(np.sum(np.square(profile.values)))
            # Sums of 5,000 float32 squares.
            assert whole == pytest.approx(a.grad_norms[profile.step], rel=1e-5)
        moved = [p for p in b.profiles if p.name == "distance"]
        assert [p.step for p in moved] == sorted({e.step for e in b.evaluations})
        assert set(moved[0].values) == {0.0}
        assert all(value > 0.0 for value in moved[-1].values)
        assert b.representations is not None
        assert b.representations.shape == (3, 6, 16)

    def test_other_splits_are_scored_once_at_the_end(self, tmp_path: Path) -> None:
        """Only the validation set is looked at on the way."""
        task = tiny_task(splits=("train", "dev", "dev_mismatched", "test"))
        (result,) = self.train([make_run()], tmp_path, task=task)
        assert set(result.logits) == {"dev", "dev_mismatched", "test"}
        assert [e.step for e in result.evaluations if e.split == "test"] == [20]

    def test_bfloat16_learns_and_repeats(self, tmp_path: Path) -> None:
        """Mixed precision: the same bits twice, losses near those of float32."""
        run = make_run(model=ModelSpec(dtype="bfloat16"))
        a, b = (self.train([run], tmp_path)[0] for _ in range(2))
        assert_same(a, b)
        full = self.train([make_run()], tmp_path)[0]
        # bfloat16 has 8 bits: 0.4 % per operation; 5 % over the first steps is generous.
        np.testing.assert_allclose(a.losses[:5], full.losses[:5], rtol=0.05)


def assert_same(a: RunResult, b: RunResult) -> None:
    """Check that two results are equal bit for bit."""
    assert a.status == b.status
    assert np.array_equal(a.losses, b.losses)
    assert np.array_equal(a.grad_norms, b.grad_norms)
    assert a.evaluations == b.evaluations
    assert set(a.logits) == set(b.logits)
    assert all(np.array_equal(a.logits[name], b.logits[name]) for name in a.logits)
