"""`KeptWeightsSuite`: `evaluation.keep=best` in an engine. `EngineSuite` includes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.spec.recipe import ClipSpec, OptimizerSpec, ScheduleSpec
from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec
from seedlab.training.result import RunResult
from tests.suites.bits import BitsSuite
from tests.suites.reference import forward
from tests.suites.runs import RECIPE, MemoryCheckpointManager, assert_same, callbacks, make_run
from tests.suites.techniques import TECHNIQUES, model_options, unknown_to_the_engine
from tests.suites.tiny import tiny_task, tiny_weights

PLAIN = EvaluationSpec(every=2, batch_size=5)
BEST = dataclasses.replace(PLAIN, keep="best")


def scores(result: RunResult) -> dict[int, float]:
    """Return the curve of a run after step 0."""
    return {e.step: e.value for e in result.evaluations if e.split == "dev" and e.step > 0}


class KeptWeightsSuite(BitsSuite):
    """Kept weights have the bits of a run that was stopped at its best evaluation."""

    @pytest.mark.slow
    @pytest.mark.parametrize("technique", ["", *TECHNIQUES])
    def test_kept_weights_are_those_of_the_run_stopped_there(
        self, technique: str, tmp_path: Path
    ) -> None:
        """The schedule is that of the whole run. An interruption after the best step changes nothing.

        The test split holds the validation examples, so its logits must be those of the stopped run.
        """
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
        load, task = model_options(recipe), tiny_task()
        task = dataclasses.replace(task, splits=dict(task.splits) | {"test": task.splits["dev"]})
        runs = [make_run(init, 2, recipe=recipe, evaluation=PLAIN) for init in (1, 2)]
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        keeping = [dataclasses.replace(run, evaluation=BEST) for run in runs]
        plain = self.train(runs, tmp_path, task=task, **load)
        kept = self.train(keeping, tmp_path, task=task, **load)
        steps = []
        for slot, (result, other) in enumerate(zip(kept, plain, strict=True)):
            curve = scores(result)
            assert curve == scores(other)
            np.testing.assert_array_equal(result.losses, other.losses)
            step = min(curve, key=lambda step: (-curve[step], step))
            assert result.kept_step == step
            manager = MemoryCheckpointManager(until=step)
            stopped = self.train(runs, tmp_path, task=task, checkpoint_manager=manager, **load)
            for split in ("dev", "test"):
                np.testing.assert_array_equal(result.logits[split], stopped[slot].logits["dev"])
            steps.append(step)
        assert min(steps) < 18, "a run's best evaluation is not its last"
        manager = MemoryCheckpointManager(every=18)
        for _ in range(2):
            # The second training continues from step 18.
            again = self.train(keeping, tmp_path, task=task, checkpoint_manager=manager, **load)
            for result, whole in zip(again, kept, strict=True):
                assert_same(result, whole)
                assert result.kept_step == whole.kept_step

    def test_the_model_of_a_run_alone_has_its_kept_weights(self, tmp_path: Path) -> None:
        """Its logits and representations are those on record, to float32 rounding.

        The weights were kept before averaging began and are scored again after it. The test split
        holds the validation examples, so both logits have the same bits.
        """
        recipe = dataclasses.replace(RECIPE, max_steps=8, **TECHNIQUES["averaging"])
        seen = DiagnosticsSpec(representations=6)
        run = make_run(1, 2, recipe=recipe, evaluation=BEST, diagnostics=seen)
        if reason := unknown_to_the_engine(self.engine(), run):
            pytest.skip(reason)
        weights, task = tiny_weights(tmp_path), tiny_task()
        dev = task.splits["dev"]
        task = dataclasses.replace(task, splits=dict(task.splits) | {"test": dev})
        (result,) = self.engine().train([run], task, weights, callbacks(task))
        averaged = {e.step for e in result.evaluations if e.split == "dev_live"}
        assert (result.kept_step, averaged) == (2, {8})
        np.testing.assert_array_equal(result.logits["test"], result.logits["dev"])
        model = weights.model.eval()
        with torch.no_grad():
            logits = forward(model, dev, np.arange(len(dev)), 1).numpy()
        np.testing.assert_allclose(result.logits["dev"], logits, rtol=1e-4, atol=1e-5)
        assert result.representations is not None
        top = torch.from_numpy(result.representations[-1])
        with torch.no_grad():
            read = model.classifier(model.bert.pooler(top[:, None])).numpy()
        np.testing.assert_allclose(logits[: len(read)], read, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_a_run_that_diverges_after_its_best_step_keeps_it(self, tmp_path: Path) -> None:
        """The rate explodes in the second update. The run stays diverged, beside a calm neighbour.

        Its logits are those of the run that was stopped there.
        """
        short = dataclasses.replace(RECIPE, max_steps=4)
        wild = dataclasses.replace(
            short,
            optimizer=OptimizerSpec(learning_rate=1e38, bias_correction=False),
            schedule=ScheduleSpec(warmup_ratio=1.0),
            clip=ClipSpec(mode="none"),
        )
        every = dataclasses.replace(BEST, every=1)
        runs = [
            make_run(init, 2, recipe=recipe, evaluation=every)
            for init, recipe in enumerate((wild, short))
        ]
        gone, calm = self.train(runs, tmp_path)
        assert (gone.status, gone.kept_step, calm.status) == ("diverged", 1, "finished")
        manager = MemoryCheckpointManager(until=1)
        stopped = self.train(runs, tmp_path, checkpoint_manager=manager)
        np.testing.assert_array_equal(gone.logits["dev"], stopped[0].logits["dev"])
