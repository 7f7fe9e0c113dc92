"""`Race`: the runs of one setting under early stopping, from the draw of cells to the outcome.

It remembers nothing: every question is answered from the runs on record and the decisions on
file, so a launch that was killed goes on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from seedlab.content import load_encoded
from seedlab.early_stopping import EarlyStoppingSpec
from seedlab.grid import EngineSpec, Pack, Stage, form_packs, repack
from seedlab.launch import race_words
from seedlab.launch.heats import Heat, Rung, draw, make_heats
from seedlab.launch.holds import hold_at, missing_at
from seedlab.launch.rules import Curve, best_of, decide, ranking
from seedlab.spec import RunSpec
from seedlab.store.checkpoints import Checkpoints
from seedlab.store.decisions import Decisions
from seedlab.store.record import Record
from seedlab.store.study import Study
from seedlab.tasks.metrics import METRICS
from seedlab.train.plan import make_plan

log = logging.getLogger(__name__)


class Race:
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
    heats : tuple of Heat
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
        self.started = draw(cells, policy)
        self.heats = make_heats(self.started, policy, plan)
        self._engine, self.every = engine, every
        self._higher = METRICS[task.metrics[0]].higher_is_better
        self._store = Study(study)
        self._decisions = Decisions(study, self.name)

    @cached_property
    def name(self) -> str:
        """Twelve hexadecimal digits: the same runs and policy, the same name."""
        runs = sorted(run.run_id for run in self.started)
        text = json.dumps([dataclasses.asdict(self.policy), runs], sort_keys=True)
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
                    "name": heat.name,
                    "runs": len(heat.runs),
                    "rungs": [dataclasses.asdict(rung) for rung in heat.rungs],
                    "cost": heat.cost(self.total_steps),
                }
                for heat in self.heats
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
        records = self._store.finished()
        engine = dataclasses.replace(self._engine, threads=threads)
        return [
            pack
            for heat in self.heats
            for pack in self._packs(heat, records, failed, engine, workers)
        ]

    def held(self, failed: Mapping[str, BaseException]) -> list[str]:
        """Return which comparisons are put off, and why: a sentence for each."""
        records = self._store.finished()
        found: list[str] = []
        for heat in self.heats:
            alive = list(heat.runs)
            for rung in heat.rungs:
                decision = self.decided(heat, rung)
                if decision is None:
                    hold = hold_at(rung.step, alive, records, failed)
                    found += [hold.words(self._store.name)] if hold else []
                    break
                going = set(decision["goes_on"])
                alive = [run for run in alive if run.run_id in going]
        return found

    def decided(self, heat: Heat, rung: Rung) -> dict[str, Any] | None:
        """Return the decision at a rung, if it has been made."""
        return self._decisions.read(_key(heat, rung))

    def reports(self, score: str) -> dict[str, float | None]:
        """Return what every job is to report: best so far where stopped, None where not begun.

        Runs that are neither on record nor left out are missing: they failed.
        """
        records = self._store.finished()
        started = {run.run_id for run in self.started}
        return {
            run.run_id: records[run.run_id].reported(score) if run.run_id in records else None
            for run in self.cells
            if run.run_id in records or run.run_id not in started
        }

    def outcome(self) -> dict[str, Any]:
        """Return what came of it, and put it on file.

        The cost is counted in full trainings: updates made, divided by those of a whole run.
        """
        records = self._store.finished()
        mine = [records[run.run_id] for run in self.started if run.run_id in records]
        expected = [heat.cost(self.total_steps) for heat in self.heats]
        known = [cost for cost in expected if cost is not None]
        pick = max if self._higher else min
        scored = [record for record in mine if math.isfinite(record.best_score)]
        best = pick(scored, key=lambda r: r.best_score) if scored else None
        content = {
            "started": len(self.started),
            "to_the_end": sum(record.is_over for record in mine),
            "stopped": sum(not record.is_over for record in mine),
            "failed": sum(record.status == "diverged" for record in mine)
            + len(self.started)
            - len(mine),
            "cost": sum(record.steps for record in mine) / self.total_steps,
            "expected_cost": sum(known) if len(known) == len(expected) else None,
            "seconds": sum(record.seconds for record in mine),
            "best_run": best.run_id if best else None,
            "best_score": best.best_score if best else None,
        }
        self._decisions.replace("outcome", content)
        return content

    def plan_words(self, workers: int) -> list[str]:
        """Return the plan in lines of text."""
        return race_words.plan_words(self, workers)

    def outcome_words(self) -> str:
        """Return what came of it, and put it on file."""
        return race_words.outcome_words(self, self.outcome())

    def _packs(
        self,
        heat: Heat,
        records: Mapping[str, Record],
        failed: Collection[str],
        engine: EngineSpec,
        workers: int,
    ) -> list[Pack]:
        alive = list(heat.runs)
        late: list[Pack] = []
        for rung in heat.rungs:
            names = tuple(run.run_id for run in alive)
            missing = missing_at(rung.step, alive, records)
            waiting = [run for run in missing if run.run_id not in failed]
            decision = self.decided(heat, rung)
            # After the decision a run that had failed is still owed its row, and no checkpoint.
            keep = rung.keep if decision is None else 0
            stage = Stage(self.every, rung.step, keep, names, self.policy.seed)
            if decision is None and waiting:
                first = rung is heat.rungs[0]
                return late + (
                    form_packs(waiting, engine, stage)
                    if first
                    else repack(waiting, engine, stage, workers)
                )
            if decision is None:
                if hold_at(rung.step, alive, records, failed):
                    return late
                decision = self._decide(heat, rung, alive, records)
            going = set(decision["goes_on"])
            late += form_packs([r for r in waiting if r.run_id not in going], engine, stage)
            alive = [run for run in alive if run.run_id in going]
        left = [
            run
            for run in alive
            if run.run_id not in failed
            and not (run.run_id in records and records[run.run_id].is_over)
        ]
        if not heat.rungs:
            return form_packs(left, engine, Stage(self.every))
        return late + repack(left, engine, Stage(self.every), workers)

    def _decide(
        self, heat: Heat, rung: Rung, alive: Sequence[RunSpec], records: Mapping[str, Record]
    ) -> dict[str, Any]:
        """Make a decision, put it on file, and drop the checkpoints that it makes useless."""
        curves = {run.run_id: self._curve(records.get(run.run_id), rung) for run in heat.runs}
        names = [run.run_id for run in alive]
        going = decide(self.policy, rung, names, curves, higher_is_better=self._higher)
        order = ranking(
            {name: curves[name] for name in names}, self.policy.seed, higher_is_better=self._higher
        )
        cells = {run.run_id: run.seeds for run in alive}
        content = {
            "heat": heat.name,
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
        decision = self._decisions.write(_key(heat, rung), content)
        stays = set(decision["goes_on"])
        Checkpoints(self.study).drop(set(names) - stays)
        log.info(
            f"early stopping after step {rung.step} of {self.total_steps}: {len(stays)} of "
            f"{len(names)} runs go on"
        )
        return decision

    def _curve(self, record: Record | None, rung: Rung) -> Curve:
        if record is None:
            return Curve({}, failed=True)
        scores = self._store.curve(record, rung.step)
        over = record.status == "diverged" and rung.step not in scores
        return Curve(scores, over or not record.has_reached(rung.step))


def _key(heat: Heat, rung: Rung) -> str:
    return f"{heat.name}-step-{rung.step}"
