"""`BitsSuite`: a run's bits depend on nothing but the run. `EngineSuite` includes it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.engine import Engine
from seedlab.spec.recipe import ClipSpec, OptimizerSpec, ScheduleSpec
from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.checkpoint import CheckpointManager
from seedlab.training.result import RunResult
from tests.suites.runs import RECIPE, MemoryCheckpointManager, assert_same, callbacks, make_run
from tests.suites.techniques import TECHNIQUES, model_options, unknown_to_the_engine
from tests.suites.tiny import tiny_task, tiny_weights


class BitsSuite:
    """The same bits when repeated, in other packs, interrupted, and with more evaluations."""

    narrowest = 1
    """Fewest runs of a pack in which a run has the bits that it has in every wider one."""

    def engine(self) -> Engine:
        """Return the engine under test."""
        raise AssertionError("a suite's subclass must say which engine it tests")

    def train(
        self,
        runs: list[RunSpec],
        folder: Path,
        architecture: str = "bert",
        task: EncodedTask | None = None,
        checkpoint_manager: CheckpointManager | None = None,
        **load: Any,
    ) -> list[RunResult]:
        """Train runs and return their results in the order of the runs."""
        task = task or tiny_task()
        weights = tiny_weights(folder, architecture, n_labels=task.n_labels, **load)
        results = list(
            self.engine().train(runs, task, weights, callbacks(task, checkpoint_manager))
        )
        by_id = {result.spec.run_id: result for result in results}
        assert len(by_id) == len(runs)
        return [by_id[run.run_id] for run in runs]

    def test_replay_is_bitwise(self, tmp_path: Path) -> None:
        """L0: the same runs in the same pack give the same bits."""
        runs = [make_run(init, order) for order in (0, 1) for init in (0, 1)]
        for a, b in zip(self.train(runs, tmp_path), self.train(runs, tmp_path), strict=True):
            assert_same(a, b)

    def test_neighbours_do_not_matter(self, tmp_path: Path) -> None:
        """L1: a run's bits do not depend on the other runs of its pack, nor on its slot."""
        a, b, c = make_run(0, 5), make_run(1, 5), make_run(2, 5)
        first = self.train([a, b], tmp_path)[0]
        second = self.train([c, a], tmp_path)[1]
        assert_same(first, second)

    def test_no_global_generator_is_read_or_set(self, tmp_path: Path) -> None:
        """The states of torch's, numpy's and Python's global generators do not change."""
        weights = tiny_weights(tmp_path)
        states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        engine = self.engine()
        list(engine.train([make_run()], tiny_task(), weights, callbacks(tiny_task())))
        after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        assert torch.equal(states[0], after[0])
        assert all(np.array_equal(x, y) for x, y in zip(states[1], after[1], strict=True))
        assert states[2] == after[2]

    def test_evaluating_more_often_changes_nothing(self, tmp_path: Path) -> None:
        """Evaluation advances no stream and changes no mode: the same losses, bitwise."""
        often = make_run(evaluation=EvaluationSpec(every=1, batch_size=5))
        seldom = make_run(evaluation=EvaluationSpec(per_epoch=0, at_start=False, batch_size=5))
        a, b = self.train([often], tmp_path)[0], self.train([seldom], tmp_path)[0]
        assert np.array_equal(a.losses, b.losses)
        assert np.array_equal(a.logits["dev"], b.logits["dev"])
        assert [e.step for e in a.evaluations] == list(range(21))
        assert [e.step for e in b.evaluations] == [20]

    def test_a_diverged_run_ends_alone(self, tmp_path: Path) -> None:
        """A loss that is not finite ends its run, and its curve is kept; the others continue."""
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

    @pytest.mark.parametrize(
        "technique",
        [
            name
            if name in ("", "Chang's full set", "mixout with prior decay")
            else pytest.param(name, marks=pytest.mark.slow)
            for name in ("", *TECHNIQUES)
        ],
    )
    def test_a_run_resumes_as_if_never_interrupted(self, technique: str, tmp_path: Path) -> None:
        """Stopped at step 12 and resumed by a new engine, in another pack: the same bits."""
        recipe = dataclasses.replace(RECIPE, **TECHNIQUES.get(technique, {}))
        runs = [make_run(init, 2, recipe=recipe) for init in range(3)]
        if reason := unknown_to_the_engine(self.engine(), runs[0]):
            pytest.skip(reason)
        whole = self.train(runs, tmp_path, **model_options(recipe))
        checkpoint_manager = MemoryCheckpointManager(until=12)
        stopped = self.train(
            runs, tmp_path, checkpoint_manager=checkpoint_manager, **model_options(recipe)
        )
        assert {result.status for result in stopped} == {"stopped"}
        assert {len(result.losses) for result in stopped} == {12}
        checkpoint_manager.until = None
        for chosen in [(2,), (0,)] if self.narrowest == 1 else [(2, 0)]:
            some = [runs[at] for at in chosen]
            late = self.train(
                some, tmp_path, checkpoint_manager=checkpoint_manager, **model_options(recipe)
            )
            for at, result in zip(chosen, late, strict=True):
                assert_same(result, whole[at])

    def test_checkpoints_on_the_way_change_nothing(self, tmp_path: Path) -> None:
        """One every 5 of 20 steps; a run resumed from the last one ends with the same bits."""
        runs = [make_run(0), make_run(1)]
        whole, checkpoint_manager = self.train(runs, tmp_path), MemoryCheckpointManager(every=5)
        for a, b in zip(
            whole, self.train(runs, tmp_path, checkpoint_manager=checkpoint_manager), strict=True
        ):
            assert_same(a, b)
        assert {c.step for c in checkpoint_manager.kept.values()} == {15}
        for a, b in zip(
            whole, self.train(runs, tmp_path, checkpoint_manager=checkpoint_manager), strict=True
        ):
            assert_same(a, b)

    def test_a_run_whose_patience_is_exhausted_ends_alone(self, tmp_path: Path) -> None:
        """More than one evaluation without a strict gain ends the run; then all splits are scored."""
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
        """Squares of norms by depth add up to the whole, and distances are 0 at step 0."""
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
