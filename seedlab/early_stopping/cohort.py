"""`Cohort`: the runs of one setting under early stopping, from the draw of cells to the outcome.

A cohort keeps no state. Every answer follows from the runs on record and the decisions on file, so
a launch continues where a killed one was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from seedlab.early_stopping import texts
from seedlab.early_stopping.brackets import RunBracket, StepRung, make_brackets, sample_runs
from seedlab.early_stopping.decision_files import (
    PROMOTED,
    decision_content,
    decision_key,
    plan_content,
)
from seedlab.early_stopping.deferral import deferred_decision, missing_at
from seedlab.early_stopping.outcome import count_outcome
from seedlab.early_stopping.promotion import Curve, decide, ranking
from seedlab.fields import identity_of
from seedlab.inputs.content import load_encoded
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import EngineSpec, Pack, Stage, form_packs, repack
from seedlab.spec.run import RunSpec
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.chosen import scored, scored_runs
from seedlab.store.decisions import Decisions
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder
from seedlab.tasks.metrics import METRICS
from seedlab.training.step_plan import make_plan

log = logging.getLogger(__name__)


class Cohort:
    """Runs that differ in their seeds alone, and the policy that stops some of them.

    Parameters
    ----------
    study : pathlib.Path
        The study's folder.
    cells : sequence of RunSpec
        All runs that the batch asks for.
    policy : EarlyStoppingSpec
    engine : EngineSpec
    every : int or None
        Updates between two checkpoints, besides those at the rungs.

    Attributes
    ----------
    started : tuple of RunSpec
        Runs that are started.
    brackets : tuple of RunBracket
    total_steps : int
        Updates of a full training.
    """

    def __init__(
        self,
        study: Path,
        cells: Sequence[RunSpec],
        policy: EarlyStoppingSpec,
        engine: EngineSpec,
        every: int | None = None,
    ) -> None:
        like = cells[0]
        task = load_encoded(like.task, like.model, like.seeds.subsample, like.recipe.truncation)
        plan = make_plan(like.recipe, like.evaluation, len(task.splits["train"]))
        self.study, self.cells, self.policy = study, tuple(cells), policy
        self.total_steps = plan.total_steps
        self.started = sample_runs(cells, policy)
        self.brackets = make_brackets(self.started, policy, plan)
        self._engine, self.every = engine, every
        self._higher = METRICS[task.metrics[0]].higher_is_better
        self._store = StudyFolder(study)
        self._decisions = Decisions(study, self.name)

    @cached_property
    def name(self) -> str:
        """Twelve hexadecimal digits: the same runs and policy, the same name."""
        runs = sorted(run.run_id for run in self.started)
        text = json.dumps([identity_of(self.policy), runs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def begin(self) -> None:
        """Write the plan to the study, before any run starts."""
        content = plan_content(
            self.policy, len(self.cells), self.started, self.brackets, self.total_steps
        )
        self._decisions.write("plan", content)

    def packs(self, failed: Collection[str], threads: int | None, workers: int) -> list[Pack]:
        """Take the decisions that are due and return the packs of the next stage.

        Parameters
        ----------
        failed : collection of run ids
            Runs that could not be trained; a mapping to their errors, where they are known. This
            launch does not wait for them: they rank last, or the decision is deferred (see
            `deferral.deferred_decision`).
        threads : int or None
            CPU threads per worker, to be recorded.
        workers : int
            Number of workers.

        Returns
        -------
        list of Pack
            Empty when every promoted run has reached its end.
        """
        records = self._store.records()
        engine = dataclasses.replace(self._engine, threads=threads)
        return [
            pack
            for bracket in self.brackets
            for pack in self._packs(bracket, records, failed, engine, workers)
        ]

    def deferred(self, failed: Mapping[str, BaseException]) -> list[str]:
        """Return the decisions that are deferred and the cause of each: a sentence per decision."""
        records = self._store.records()
        found: list[str] = []
        for bracket in self.brackets:
            alive = list(bracket.runs)
            for rung in bracket.rungs:
                decision = self.decided(bracket, rung)
                if decision is None:
                    deferral = deferred_decision(rung.step, alive, records, failed)
                    found += [deferral.text(self._store.name)] if deferral else []
                    break
                promoted = set(decision[PROMOTED])
                alive = [run for run in alive if run.run_id in promoted]
        return found

    def decided(self, bracket: RunBracket, rung: StepRung) -> dict[str, Any] | None:
        """Return the decision at a rung, if it has been made."""
        return self._decisions.read(decision_key(bracket, rung))

    def reports(self, score: str) -> dict[str, float | None]:
        """Return the score that each run's job reports, by run id.

        It is the best so far for a stopped run and None for one that is not started. Runs that
        failed are missing.

        Parameters
        ----------
        score : {"best", "final"}
        """
        records = self._store.records()
        started = {run.run_id for run in self.started}
        return {
            run.run_id: scored(self._store, records[run.run_id]).reported(score)
            if run.run_id in records
            else None
            for run in self.cells
            if run.run_id in records or run.run_id not in started
        }

    def outcome(self) -> dict[str, Any]:
        """Return the outcome (see `seedlab.early_stopping.outcome`) and write it to the study."""
        content = count_outcome(
            self.started,
            {run.record.run_id: run for run in scored_runs(self._store)},
            self.brackets,
            self.total_steps,
            higher_is_better=self._higher,
        )
        self._decisions.replace("outcome", content)
        return content

    def plan_text(self, workers: int) -> list[str]:
        """Return the plan in lines of text."""
        return texts.plan_text(
            self.study,
            self.policy,
            self.started,
            len(self.cells),
            self.brackets,
            total_steps=self.total_steps,
            every=self.every,
            workers=workers,
        )

    def outcome_text(self) -> str:
        """Return the outcome as text, and write it to the study."""
        return texts.outcome_text(self.policy.policy, self.outcome())

    def _packs(
        self,
        bracket: RunBracket,
        records: Mapping[str, Record],
        failed: Collection[str],
        engine: EngineSpec,
        workers: int,
    ) -> list[Pack]:
        alive = list(bracket.runs)
        late: list[Pack] = []
        for rung in bracket.rungs:
            names = tuple(run.run_id for run in alive)
            missing = missing_at(rung.step, alive, records)
            waiting = [run for run in missing if run.run_id not in failed]
            decision = self.decided(bracket, rung)
            # After the decision a run that had failed is still trained up to the rung, for its
            # row in the tables. It keeps no checkpoint.
            keep = rung.keep if decision is None else 0
            stage = Stage(self.every, rung.step, keep, names, self.policy.seed)
            if decision is None and waiting:
                first = rung is bracket.rungs[0]
                return late + (
                    form_packs(waiting, engine, stage)
                    if first
                    else repack(waiting, engine, stage, workers)
                )
            if decision is None:
                if deferred_decision(rung.step, alive, records, failed):
                    return late
                decision = self._decide(bracket, rung, alive, records)
            promoted = set(decision[PROMOTED])
            late += form_packs([r for r in waiting if r.run_id not in promoted], engine, stage)
            alive = [run for run in alive if run.run_id in promoted]
        left = [
            run
            for run in alive
            if run.run_id not in failed
            and not (run.run_id in records and records[run.run_id].is_over)
        ]
        if not bracket.rungs:
            return form_packs(left, engine, Stage(self.every))
        return late + repack(left, engine, Stage(self.every), workers)

    def _decide(
        self,
        bracket: RunBracket,
        rung: StepRung,
        alive: Sequence[RunSpec],
        records: Mapping[str, Record],
    ) -> dict[str, Any]:
        """Make a decision, write it, and drop the checkpoints of the runs it stops."""
        curves = {run.run_id: self._curve(records.get(run.run_id), rung) for run in bracket.runs}
        names = [run.run_id for run in alive]
        promoted = decide(self.policy, rung, names, curves, higher_is_better=self._higher)
        order = ranking(
            {name: curves[name] for name in names}, self.policy.seed, higher_is_better=self._higher
        )
        runs = {run.run_id: run for run in alive}
        content = decision_content(
            bracket,
            rung,
            [runs[name] for name in order],
            promoted,
            curves,
            self.total_steps,
            higher_is_better=self._higher,
        )
        # Another launch may have decided meanwhile; then its decision is returned.
        decision = self._decisions.write(decision_key(bracket, rung), content)
        kept = set(decision[PROMOTED])
        Checkpoints(self.study).drop(set(names) - kept)
        log.info(
            f"early stopping after step {rung.step} of {self.total_steps}: {len(kept)} of "
            f"{len(names)} runs are promoted"
        )
        return decision

    def _curve(self, record: Record | None, rung: StepRung) -> Curve:
        if record is None:
            return Curve({}, failed=True)
        scores = self._store.curve(record, rung.step)
        over = record.status == "diverged" and rung.step not in scores
        return Curve(scores, over or not record.has_reached(rung.step))
