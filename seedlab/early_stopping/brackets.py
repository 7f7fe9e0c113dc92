"""`RunBracket`: runs that early stopping compares, and the steps at which it compares them.

This module chooses the cells that are started, their brackets and rungs, and computes the cost.
`seedlab.early_stopping.promotion` chooses the runs that are promoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from analysis.rules.policies import halving_bracket, hyperband_brackets, tie_keys
from seedlab.errors import SeedlabError
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.run import RunSpec
from seedlab.training.step_plan import StepPlan

Item = TypeVar("Item")


@dataclass(frozen=True)
class StepRung:
    """A step at which runs are compared.

    Parameters
    ----------
    step : int
        Updates made; an evaluation step.
    keep : int or None
        Number of promoted runs; None where the rule sets no number.
    """

    step: int
    keep: int | None


@dataclass(frozen=True)
class RunBracket:
    """Runs that are compared with each other.

    Parameters
    ----------
    name : str
    runs : tuple of RunSpec
    rungs : tuple of StepRung
        In order of time.
    """

    name: str
    runs: tuple[RunSpec, ...]
    rungs: tuple[StepRung, ...]

    def cost(self, total_steps: int) -> float | None:
        """Return the cost in full trainings; None where it is not known beforehand.

        It is t f + p (1 - f) where t runs are compared once, after a share f of training, and
        p of them are promoted.
        """
        running, since, steps = len(self.runs), 0, 0
        for rung in self.rungs:
            if rung.keep is None:
                return None
            steps += running * (rung.step - since)
            running, since = rung.keep, rung.step
        return (steps + running * (total_steps - since)) / total_steps


def sample_runs(runs: Sequence[RunSpec], policy: EarlyStoppingSpec) -> tuple[RunSpec, ...]:
    """Return the runs that are started, in the order of `runs`.

    These are all runs, unless `policy.started` is below their number. Then a seeded draw fills
    whole columns (order seeds) first. Columns are ordered by a hash of the policy's seed and
    their own, and the last column gets the runs with the lowest hashes. Runs of a column share
    their batches, so few whole columns cost less than many short ones. They share their order
    seed, too, so the cells are not drawn independently.

    Raises
    ------
    SeedlabError
        When more runs are to be started than there are.
    """
    wanted = policy.started
    if wanted is None or wanted == len(runs):
        return tuple(runs)
    if wanted > len(runs):
        raise SeedlabError(
            f"early_stopping.started={wanted}, but the grid has {len(runs)} cells for one "
            "setting; widen seed.init or seed.order, or start fewer."
        )
    columns: dict[int, list[RunSpec]] = {}
    for run in runs:
        columns.setdefault(run.seeds.order, []).append(run)
    names = [f"column/{order}" for order in columns]
    orders = _by_key(list(columns), names, policy.seed)
    ranked = [
        run
        for order in orders
        for run in _by_key(columns[order], [r.run_id for r in columns[order]], policy.seed)
    ]
    chosen = {run.run_id for run in ranked[:wanted]}
    return tuple(run for run in runs if run.run_id in chosen)


def make_brackets(
    runs: Sequence[RunSpec], policy: EarlyStoppingSpec, plan: StepPlan
) -> tuple[RunBracket, ...]:
    """Return the brackets of the runs that are started.

    Parameters
    ----------
    runs : sequence of RunSpec
        From `sample_runs`; they differ in their seeds alone.
    policy : EarlyStoppingSpec
    plan : StepPlan
        Steps and evaluations, the same for all of them.

    Raises
    ------
    SeedlabError
        When there are too few runs, or no evaluations at which to compare them.
    """
    match policy.policy:
        case "start_many":
            step = _evaluation(policy.fraction, plan)
            continued = policy.continued or 0
            if continued >= len(runs):
                raise SeedlabError(
                    f"early_stopping.continued={continued} of {len(runs)} runs stops nothing; it must "
                    "be below the number of runs that are started."
                )
            return (RunBracket("all", tuple(runs), (StepRung(step, continued),)),)
        case "successive_halving":
            bracket = _halving("all", runs, policy.fraction, policy.reduction, plan)
            return _comparing((bracket,), policy)
        case "hyperband":
            return _comparing(_hyperband(runs, policy, plan), policy)
        case "median":
            if len(runs) < policy.least:
                raise SeedlabError(
                    f"early_stopping=median stops nothing with fewer than early_stopping.least="
                    f"{policy.least} runs, and {len(runs)} of one setting are started; start more "
                    "(seed.init, seed.order), or set a smaller early_stopping.least (at least 2)."
                )
            first = _evaluation(policy.fraction, plan)
        case _:
            first = _first_idle(policy.patience, plan)
    rungs = tuple(StepRung(step, None) for step in _between(plan) if step >= first)
    return (RunBracket("all", tuple(runs), rungs),)


def _comparing(
    brackets: tuple[RunBracket, ...], policy: EarlyStoppingSpec
) -> tuple[RunBracket, ...]:
    """Return the brackets, or refuse them where none has a rung."""
    if any(bracket.rungs for bracket in brackets):
        return brackets
    runs = sum(len(bracket.runs) for bracket in brackets)
    # Hyperband's brackets have their first rungs at 1 / reduction of training and before.
    late = policy.policy == "hyperband" and len(brackets) == 1
    remedy = (
        f"its first comparison would be after 1 / early_stopping.reduction of training; set "
        f"early_stopping.fraction to at most {1 / policy.reduction:.3g}"
        if late
        else "a comparison takes two; start more (seed.init, seed.order), or leave early_stopping out"
    )
    raise SeedlabError(
        f"early_stopping={policy.policy} with early_stopping.fraction={policy.fraction:g}, "
        f"early_stopping.reduction={policy.reduction} and {runs} "
        f"{'run' if runs == 1 else 'runs'} of one setting stops nothing: {remedy}."
    )


def _hyperband(
    runs: Sequence[RunSpec], policy: EarlyStoppingSpec, plan: StepPlan
) -> tuple[RunBracket, ...]:
    """Return the brackets of Hyperband; a seeded draw gives each its share of the runs."""
    schedules = hyperband_brackets(policy.fraction, policy.reduction)
    total = sum(schedule.started for schedule in schedules)
    ranked = _by_key(list(runs), [f"bracket/{run.run_id}" for run in runs], policy.seed)
    brackets: list[RunBracket] = []
    before = 0
    for number, schedule in enumerate(schedules):
        before += schedule.started
        size = round(len(runs) * before / total) - sum(len(bracket.runs) for bracket in brackets)
        if size < 1:
            raise SeedlabError(
                f"early_stopping=hyperband has {len(schedules)} brackets for "
                f"early_stopping.fraction={policy.fraction:g}, and {len(runs)} runs are too few to "
                "have one in each; start more, or set a larger fraction."
            )
        members = {run.run_id for run in ranked[:size]}
        ranked = ranked[size:]
        first = schedule.rungs[0].fraction if schedule.rungs else 1.0
        part = [run for run in runs if run.run_id in members]
        brackets.append(_halving(f"bracket-{number}", part, first, policy.reduction, plan))
    return tuple(brackets)


def _halving(
    name: str, runs: Sequence[RunSpec], first: float, reduction: int, plan: StepPlan
) -> RunBracket:
    rungs = [
        StepRung(_evaluation(rung.fraction, plan), rung.keep)
        for rung in halving_bracket(len(runs), first, reduction).rungs
    ]
    if len({rung.step for rung in rungs}) < len(rungs):
        steps = ", ".join(str(rung.step) for rung in rungs)
        raise SeedlabError(
            f"the rungs of successive halving fall on one evaluation (steps {steps}); evaluate more "
            "often (evaluation.per_epoch), or set a larger early_stopping.fraction or reduction."
        )
    return RunBracket(name, tuple(runs), tuple(rungs))


def _between(plan: StepPlan) -> list[int]:
    """Return the evaluation steps at which something can be stopped."""
    return [step for step in plan.evaluation_steps if 0 < step < plan.total_steps]


def _evaluation(fraction: float, plan: StepPlan) -> int:
    """Return the last evaluation step within a share of training."""
    # The tolerance keeps .3 * 10 from being less than 3.
    latest = fraction * plan.total_steps + 1e-9
    steps = [step for step in _between(plan) if step <= latest]
    if not steps:
        there = _between(plan)
        first = (
            f"the first one is at {there[0]} of {plan.total_steps}" if there else "there is none"
        )
        raise SeedlabError(
            f"early_stopping.fraction={fraction:g} is step {latest:.4g}, before any evaluation at "
            f"which runs could be compared ({first}); evaluate more often "
            "(evaluation.per_epoch=5), or set a larger fraction."
        )
    return steps[-1]


def _first_idle(patience: int, plan: StepPlan) -> int:
    """Return the first step at which a run can have gone `patience` evaluations without improving."""
    steps = [step for step in plan.evaluation_steps if step < plan.total_steps]
    if len(steps) <= patience:
        raise SeedlabError(
            f"early_stopping.patience={patience} stops nothing: there are {len(steps)} evaluations "
            "before the end, and the first one counts as an improvement; evaluate more often "
            "(evaluation.per_epoch=5), or set a smaller patience."
        )
    return steps[patience]


def _by_key(items: Sequence[Item], names: Sequence[str], seed: int) -> list[Item]:
    keys = tie_keys(names, seed).tolist()
    return [items[at] for at in sorted(range(len(items)), key=keys.__getitem__)]
