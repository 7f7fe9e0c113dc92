"""`EngineSuite`: conformance tests for engines. Subclass it and implement `engine`.

class TestMyEngine(EngineSuite):
    def engine(self):
        return MyEngine()
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.engines import ENGINES
from seedlab.engines.serial.engine import SerialEngine
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import ClipSpec, OptimizerSpec
from seedlab.spec.run import DiagnosticsSpec, ModelSpec, Seeds
from tests.suites.kept_weights import KeptWeightsSuite
from tests.suites.reference import reference_run
from tests.suites.runs import RECIPE, assert_same, callbacks, make_run
from tests.suites.techniques import (
    COMPOSITIONS,
    TECHNIQUES,
    model_options,
    unknown_to_the_engine,
)
from tests.suites.tiny import ARCHITECTURES, tiny_task, tiny_weights


class EngineSuite(KeptWeightsSuite):
    """The contract of an engine, on small random models."""

    def test_the_registry_makes_it_from_settings(self) -> None:
        """`ENGINES` lists its class under its name, and `of` makes one for any settings."""
        engine = self.engine()
        assert ENGINES[engine.name]() is type(engine)
        for settings in (EngineSpec(), EngineSpec(width=5, stack=2), EngineSpec(score="final")):
            made = type(engine).of(settings)
            assert type(made) is type(engine)
            assert made.name == engine.name

    @pytest.mark.parametrize("device", ["cpu", "cuda"])
    def test_circumstances_are_plain_values_that_repeat(self, device: str) -> None:
        """Checkpoints hold them as JSON and compare them after a restart."""
        found = self.engine().circumstances(device)
        assert json.loads(json.dumps(found)) == found
        assert self.engine().circumstances(device) == found
        assert found, "the number of threads, stacks or slots decides the bits of every engine"

    def test_every_run_gets_one_result_that_says_how_it_was_computed(self, tmp_path: Path) -> None:
        """Runs of two columns; a result comes before the next column is trained."""
        runs = [make_run(init, order) for order in (0, 1) for init in (0, 1)]
        weights, task = tiny_weights(tmp_path), tiny_task()
        results = self.engine().train(runs, task, weights, callbacks(task))
        assert isinstance(results, Iterator)
        found = list(results)
        assert sorted(r.spec.run_id for r in found) == sorted(run.run_id for run in runs)
        for result in found:
            assert result.status == "finished"
            assert len(result.losses) == result.total_steps == 20
            assert result.seconds > 0.0
            assert result.provenance["engine"] == self.engine().name
            assert result.provenance["device"] == "cpu"
            assert 0 <= result.provenance["slot"] < result.provenance["width"]

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
        """Splitting a batch into parts changes sums only by rounding, also with dropout."""
        whole, parts = make_run(), make_run(recipe=dataclasses.replace(RECIPE, accumulation=3))
        load = {"dtype": torch.float64}
        first = self.train([whole], tmp_path, **load)[0]
        second = self.train([parts], tmp_path, **load)[0]
        np.testing.assert_allclose(first.losses, second.losses, rtol=1e-9)

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

    @pytest.mark.parametrize(
        "technique",
        [
            name if name in COMPOSITIONS else pytest.param(name, marks=pytest.mark.slow)
            for name in TECHNIQUES
        ],
    )
    def test_a_technique_equals_the_specification(self, technique: str, tmp_path: Path) -> None:
        """Two runs, a whole training in float64 with dropout: losses and logits as serial's.

        Tolerance as for the plain loop: the engines sum in different orders.
        """
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES[technique])
        model = ModelSpec(dtype="float64")
        runs = [make_run(init, 4, recipe=recipe, model=model) for init in (0, 1)]
        if self.engine().name == "serial":
            pytest.skip(
                "it is the specification: tests/training/techniques compares it with plain loops"
            )
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        load = {"dtype": torch.float64, **model_options(recipe)}
        results = self.train(runs, tmp_path, **load)
        weights = tiny_weights(tmp_path, **load)
        task = tiny_task()
        for result, other in zip(
            results, SerialEngine().train(runs, task, weights, callbacks(task)), strict=True
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
        (other,) = SerialEngine().train([run], task, weights, callbacks(task))
        np.testing.assert_allclose(result.losses, other.losses, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(result.grad_norms, other.grad_norms, rtol=1e-6)
        plain = dataclasses.replace(run, recipe=RECIPE)
        (mean,) = self.train([plain], tmp_path, task=task, dtype=torch.float64)
        assert result.losses[0] == pytest.approx(np.sqrt(mean.losses[0]), rel=1e-12)

    @pytest.mark.parametrize("technique", ["", "prior decay", "reinit", "freeze", "mixout", "lora"])
    def test_diagnostics_equal_the_specification(self, technique: str, tmp_path: Path) -> None:
        """Norms, distances (including words that the task never uses) and first tokens; float64."""
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
        model, watched = ModelSpec(dtype="float64"), DiagnosticsSpec(5, True, 6)
        runs = [make_run(init, recipe=recipe, model=model, diagnostics=watched) for init in (0, 1)]
        if self.engine().name == "serial":
            pytest.skip("it is the specification")
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        load = {"dtype": torch.float64, **model_options(recipe)}
        results = self.train(runs, tmp_path, **load)
        weights, task = tiny_weights(tmp_path, **load), tiny_task()
        for result, other in zip(
            results, SerialEngine().train(runs, task, weights, callbacks(task)), strict=True
        ):
            assert len(result.profiles) == len(other.profiles) > 8
            for a, b in zip(result.profiles, other.profiles, strict=True):
                assert (a.step, a.name) == (b.step, b.name)
                np.testing.assert_allclose(a.values, b.values, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(
                result.representations, other.representations, rtol=1e-5, atol=1e-6
            )

    def test_other_splits_are_scored_once_at_the_end(self, tmp_path: Path) -> None:
        """During training only the validation set is scored."""
        task = tiny_task(splits=("train", "dev", "dev_mismatched", "test"))
        (result,) = self.train([make_run()], tmp_path, task=task)
        assert set(result.logits) == {"dev", "dev_mismatched", "test"}
        assert [e.step for e in result.evaluations if e.split == "test"] == [20]

    def test_the_test_curve_is_the_curve_of_the_test_set(self, tmp_path: Path) -> None:
        """As of a run that is validated on the test set; at first without averaged weights."""
        task, watched = tiny_task(splits=("train", "dev", "test")), DiagnosticsSpec(test_curve=True)
        splits = {**task.splits, "dev": task.splits["test"], "test": task.splits["dev"]}
        run = make_run(recipe=dataclasses.replace(RECIPE, **TECHNIQUES["averaging"]))
        if reason := unknown_to_the_engine(self.engine(), run):
            pytest.skip(reason)
        (result,) = self.train([dataclasses.replace(run, diagnostics=watched)], tmp_path, task=task)
        (other,) = self.train([run], tmp_path, task=dataclasses.replace(task, splits=splits))
        curves = {
            name: [(e.step, e.value) for e in result.evaluations if e.split == name]
            for name in ("dev", "test")
        }
        assert curves["test"] == [(e.step, e.value) for e in other.evaluations if e.split == "dev"]
        assert len(curves["test"]) == 9
        # A diagnostic changes no result: the other run has none.
        np.testing.assert_array_equal(result.losses, other.losses)
        for name, swapped in (("dev", "test"), ("test", "dev")):
            np.testing.assert_array_equal(result.logits[name], other.logits[swapped])
        assert curves["dev"][-1] in [
            (e.step, e.value) for e in other.evaluations if e.split == "test"
        ]

    def test_bfloat16_learns_and_repeats(self, tmp_path: Path) -> None:
        """Mixed precision: the same bits twice, losses near those of float32."""
        run = make_run(model=ModelSpec(dtype="bfloat16"))
        a, b = (self.train([run], tmp_path)[0] for _ in range(2))
        assert_same(a, b)
        full = self.train([make_run()], tmp_path)[0]
        # bfloat16 has 8 bits: 0.4 % per operation; 5 % over the first steps is generous.
        np.testing.assert_allclose(a.losses[:5], full.losses[:5], rtol=0.05)
