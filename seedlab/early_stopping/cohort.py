"""`Cohort`: the runs of one setting under early stopping, from the draw of cells to the outcome.

It remembers nothing: every question is answered from the runs on record and the decisions on
file, so a launch that was killed goes on where it was.
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

from seedlab.early_stopping import texts as texts
from seedlab.early_stopping.brackets import RunBracket, StepRung, make_brackets, sample_runs
from seedlab.early_stopping.deferral import deferred_decision, missing_at
from seedlab.early_stopping.outcome import count_outcome
from seedlab.early_stopping.promotion import Curve, best_of, decide, ranking
from seedlab.fields import identity_of
from seedlab.inputs.content import load_encoded
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import EngineSpec, Pack, Stage, form_packs, repack
from seedlab.spec.run import RunSpec
from seedlab.store.checkpoints import Checkpoints
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
        All that the batch asks for.
    policy : EarlyStoppingSpec
    engine : EngineSpec
    every : int or None
        Updates between two checkpoints, besides those at the rungs.

    Attributes
    ----------
    started : tuple of RunSpec
        Those that are started.
    heats : tuple of RunBracket
    total_steps : int
        Of a full training.
    every : int or None
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
        """Put on file what is going to be done, before it is."""
        cells = [
            {"run": run.run_id, "init": run.seeds.init, "order": run.seeds.order}
            for run in self.started
        ]
        content = {
            "policy": dataclasses.asdict(self.policy),
            "cells": len(self.cells),
            "started": cells,
            "total_steps": self.total_steps,
            "heats": [
                {
                    "name": bracket.name,
                    "runs": len(bracket.runs),
                    "rungs": [dataclasses.asdict(rung) for rung in bracket.rungs],
                    "cost": bracket.cost(self.total_steps),
                }
                for bracket in self.brackets
            ],
        }
        self._decisions.write("plan", content)

    def packs(self, failed: Collection[str], threads: int | None, workers: int) -> list[Pack]:
        """Take the decisions that are due and return the packs of the next stage.

        Parameters
        ----------
        failed : collection of run ids
            Runs that could not be trained; a mapping to their errors, where they are known. Within
            this launch nobody waits for them. They lose, or put the comparison off: see `held`.
        threads : int or None
            CPU threads per worker, to be recorded.
        workers : int
            How many there are.

        Returns
        -------
        list of Pack
            Empty when all is trained that is going to be.
        """
        records = self._store.records()
        engine = dataclasses.replace(self._engine, threads=threads)
        return [
            pack
            for bracket in self.brackets
            for pack in self._packs(bracket, records, failed, engine, workers)
        ]

    def deferred(self, failed: Mapping[str, BaseException]) -> list[str]:
        """Return which comparisons are put off, and why: a sentence for each."""
        records = self._store.records()
        found: list[str] = []
        for bracket in self.brackets:
            alive = list(bracket.runs)
            for rung in bracket.rungs:
                decision = self.decided(bracket, rung)
                if decision is None:
                    deferral = deferred_decision(rung.step, alive, records, failed)
                    found += [deferral.words(self._store.name)] if deferral else []
                    break
                going = set(decision["goes_on"])
                alive = [run for run in alive if run.run_id in going]
        return found

    def decided(self, bracket: RunBracket, rung: StepRung) -> dict[str, Any] | None:
        """Return the decision at a rung, if it has been made."""
        return self._decisions.read(_key(bracket, rung))

    def reports(self, score: str) -> dict[str, float | None]:
        """Return what every job is to report: best so far where stopped, None where not begun.

        Runs that are neither on record nor left out are missing: they failed.
        """
        records = self._store.records()
        started = {run.run_id for run in self.started}
        return {
            run.run_id: records[run.run_id].reported(score) if run.run_id in records else None
            for run in self.cells
            if run.run_id in records or run.run_id not in started
        }

    def outcome(self) -> dict[str, Any]:
        """Return the outcome (see `seedlab.early_stopping.outcome`), and put it on file."""
        content = count_outcome(
            self.started,
            self._store.records(),
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
        """Return what came of it, and put it on file."""
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
            # After the decision a run that had failed is still owed its row, and no checkpoint.
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
            going = set(decision["goes_on"])
            late += form_packs([r for r in waiting if r.run_id not in going], engine, stage)
            alive = [run for run in alive if run.run_id in going]
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
        """Make a decision, put it on file, and drop the checkpoints that it makes useless."""
        curves = {run.run_id: self._curve(records.get(run.run_id), rung) for run in bracket.runs}
        names = [run.run_id for run in alive]
        going = decide(self.policy, rung, names, curves, higher_is_better=self._higher)
        order = ranking(
            {name: curves[name] for name in names}, self.policy.seed, higher_is_better=self._higher
        )
        cells = {run.run_id: run.seeds for run in alive}
        content = {
            "heat": bracket.name,
            "step": rung.step,
            "fraction": rung.step / self.total_steps,
            "keep": rung.keep,
            "goes_on": [name for name in order if name in going],
            "ranking": [
                {
                    "run": name,
                    "init": cells[name].init,
                    "order": cells[name].order,
                    "best_so_far": best_of(curves[name], higher_is_better=self._higher),
                    "failed": curves[name].failed,
                }
                for name in order
            ],
        }
        decision = self._decisions.write(_key(bracket, rung), content)
        stays = set(decision["goes_on"])
        Checkpoints(self.study).drop(set(names) - stays)
        log.info(
            f"early stopping after step {rung.step} of {self.total_steps}: {len(stays)} of "
            f"{len(names)} runs go on"
        )
        return decision

    def _curve(self, record: Record | None, rung: StepRung) -> Curve:
        if record is None:
            return Curve({}, failed=True)
        scores = self._store.curve(record, rung.step)
        over = record.status == "diverged" and rung.step not in scores
        return Curve(scores, over or not record.has_reached(rung.step))


def _key(bracket: RunBracket, rung: StepRung) -> str:
    return f"{bracket.name}-step-{rung.step}"
