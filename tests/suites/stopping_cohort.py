"""A small cohort on the embedded task: its cells and policy, run in this process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from seedlab.early_stopping.cohort import Cohort
from seedlab.execution.run_pack import execute
from seedlab.reproduce.identify import with_hashes
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import EngineSpec, Pack
from seedlab.spec.recipe import OptimizerSpec, RecipeSpec
from seedlab.spec.run import EvaluationSpec, RunSpec, Seeds, TaskSpec
from seedlab.store.study import StoredRun, StudyFolder
from seedlab.store.study_plan import extend_plan

RECIPE = RecipeSpec(max_steps=8, optimizer=OptimizerSpec(learning_rate=1e-3))
TASK = TaskSpec(examples=64, dev_examples=40, max_length=16)
EVALUATION = EvaluationSpec(every=2, at_start=False, batch_size=40)
ENGINE = EngineSpec("packed", width=3, threads=1, device="cpu")
POLICY = EarlyStoppingSpec("start_many", fraction=0.5, continued=2)
STEP = 4
"""where the runs are compared"""


def cells(inits: int = 3, orders: int = 2) -> list[RunSpec]:
    run = with_hashes(RunSpec(task=TASK, recipe=RECIPE, evaluation=EVALUATION))
    return [
        dataclasses.replace(run, seeds=Seeds(init, order).resolved())
        for init in range(inits)
        for order in range(orders)
    ]


def train(study: Path, packs: list[Pack]) -> None:
    extend_plan(study, [run for pack in packs for run in pack.runs])
    for pack in packs:
        execute(pack, study, lambda event: None)


def drive(cohort: Cohort, failed: tuple[str, ...] = ()) -> list[list[Pack]]:
    """Run all stages in this process, as the launcher does; return the packs of every stage."""
    StudyFolder(cohort.study).begin(cohort.started)
    cohort.begin()
    stages = []
    while packs := cohort.packs(failed, threads=1, workers=2):
        stages.append(packs)
        train(cohort.study, packs)
    return stages


def assert_same(a: StoredRun, b: StoredRun) -> None:
    """Check that curves, losses, logits and decisions are the same, bit for bit."""
    assert a.arrays.evaluations == b.arrays.evaluations
    for name in ("losses", "grad_norms", "learning_rates"):
        assert getattr(a.arrays, name).tobytes() == getattr(b.arrays, name).tobytes()
    for split, logits in b.arrays.logits.items():
        assert a.arrays.logits[split].tobytes() == logits.tobytes()
    for name in ("status", "best_score", "final_score", "best_step", "failed", "final_scores"):
        assert getattr(a.record, name) == getattr(b.record, name)


def survivors(study: StudyFolder) -> set[str]:
    return {run_id for run_id, record in study.records().items() if record.is_over}
