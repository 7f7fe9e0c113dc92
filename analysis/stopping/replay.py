"""Optuna's pruners replayed on recorded curves, at equal cost.

The pruners decide with their own code, one report at a time, as in a live study;
the record replaces the training. They are asynchronous: their decisions depend on
the order in which runs arrive, which is an argument.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd

from analysis.best_of_n.expected_max import expected_max
from analysis.checks import check_at_least
from analysis.data.curves import CurvePool, curve_pools

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
PrunerFactory = Callable[[int], optuna.pruners.BasePruner]

# Hyperband assigns runs to brackets by a hash of the study's name and the run's
# number, so that a fixed name makes a replay reproducible.
STUDY_NAME = "replay"


@dataclasses.dataclass(frozen=True)
class Replay:
    """Course of a replay: cost, best score and numbers of runs after each evaluation.

    Attributes
    ----------
    cost : array of float64, shape (E,)
        Cost in full trainings after each evaluation that was spent.
    best : array of float64, shape (E,)
        Best score seen by then.
    started, completed : arrays of int64, shape (E,)
        Runs begun and runs trained to their end by then.
    """

    cost: FloatArray
    best: FloatArray
    started: IntArray
    completed: IntArray

    def at_budget(self, budget: float) -> tuple[float, int, int, float]:
        """Best score, runs started, runs completed and cost, for at most `budget` trainings.

        NaN where the budget does not cover the first evaluation. A run in flight when
        the budget ends counts as started, with its scores so far. A cost well
        below the budget means that the recorded runs were used up.
        """
        # The tolerance is below the cost of any step.
        at = int(np.searchsorted(self.cost, budget + 1e-9, side="right")) - 1
        if at < 0:
            return float("nan"), 0, 0, 0.0
        return (
            float(self.best[at]),
            int(self.started[at]),
            int(self.completed[at]),
            float(self.cost[at]),
        )


def standard_pruners() -> dict[str, PrunerFactory]:
    """Optuna's median, successive halving and Hyperband pruners, as factories.

    Each takes the number T of evaluations of a full training. Successive halving
    decides first after one evaluation, with a reduction of 4. Hyperband spans 1 to T
    evaluations with a reduction of 3. The median pruner waits for five complete runs.
    These are Optuna's defaults, with the resources stated instead of guessed from
    the first run.
    """
    return {
        "median": lambda count: optuna.pruners.MedianPruner(),
        "successive_halving": lambda count: optuna.pruners.SuccessiveHalvingPruner(min_resource=1),
        "hyperband": lambda count: optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=count
        ),
    }


def replay_pruner(
    scores: npt.ArrayLike,
    pruner: optuna.pruners.BasePruner,
    order: npt.ArrayLike,
    *,
    steps: npt.ArrayLike | None = None,
    budget: float = np.inf,
    workers: int = 1,
) -> Replay:
    """Feed recorded curves to a pruner until the budget or the pool is spent.

    Parameters
    ----------
    scores : array of finite floats, shape (R, T)
        Current scores (not the best so far); higher is better.
    pruner : optuna pruner
        A fresh one: some pruners have state.
    order : 1D array of different positions in 0..R-1
        Order in which the runs arrive, e.g. ``generator.permutation(R)``.
    steps : 1D array of T increasing positive integers, optional
        Times of the evaluations, for the cost; equally spaced by default. The
        pruner itself counts evaluations: 1, 2, ..., T.
    budget : float
        In full trainings. The replay ends with the evaluation that reaches it.
    workers : int
        Runs in flight at once. They advance by one evaluation in turn, and one
        that ends is replaced by the next to arrive. With one worker, a run is
        trained to its end (or pruned) before the next one starts.

    Returns
    -------
    Replay
        From the first evaluation to the last one paid for: a budget smaller
        than `budget` can be read off it, as the pruners do not know theirs.

    Raises
    ------
    ValueError
        An argument is outside its range.
    """
    curves = np.asarray(scores, dtype=np.float64)
    arrivals = np.asarray(order)
    if curves.ndim != 2 or curves.size == 0 or not np.isfinite(curves).all():
        raise ValueError(
            f"scores has the shape {curves.shape}; allowed: finite numbers, one row per run and "
            "one column per evaluation."
        )
    if (
        arrivals.ndim != 1
        or len(set(arrivals.tolist())) != arrivals.size
        or not np.isin(arrivals, np.arange(len(curves))).all()
    ):
        raise ValueError(
            f"order is {arrivals.tolist()}; allowed: different positions from 0 to "
            f"{len(curves) - 1}."
        )
    times = np.arange(1, curves.shape[1] + 1) if steps is None else np.asarray(steps, np.int64)
    if times.shape != curves.shape[1:] or times[0] < 0 or np.any(np.diff(times) < 1):
        raise ValueError(
            f"steps is {times.tolist()}; allowed: {curves.shape[1]} increasing integers from 0 on."
        )
    check_at_least("workers", workers, 1)

    with _quiet():
        study = optuna.create_study(
            direction="maximize",
            pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=0),
            study_name=STUDY_NAME,
        )
        events = list(_events(study, curves, arrivals.tolist(), times, budget, workers))
    cost, score, started, completed = (np.array(column) for column in zip(*events, strict=True))
    return Replay(cost, np.maximum.accumulate(score), started, completed)


def _events(
    study: optuna.Study,
    curves: FloatArray,
    arrivals: list[int],
    times: IntArray,
    budget: float,
    workers: int,
) -> Iterator[tuple[float, float, int, int]]:
    waiting = iter(arrivals)
    flights: list[tuple[optuna.Trial, int, int]] = []
    total = int(times[-1])
    prices = np.diff(times, prepend=0).tolist()
    spent = started = completed = 0
    while True:
        while len(flights) < workers and (run := next(waiting, None)) is not None:
            flights.append((study.ask(), run, 0))
        if not flights:
            return
        trial, run, seen = flights.pop(0)
        spent += prices[seen]
        if spent > budget * total + 1e-9:
            return
        score = float(curves[run, seen])
        trial.report(score, seen + 1)
        started += seen == 0
        if seen + 1 == len(times):
            study.tell(trial, score)
            completed += 1
        elif trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            flights.append((trial, run, seen + 1))
        yield spent / total, score, started, completed


def replay_table(
    curves: pd.DataFrame,
    *,
    generator: np.random.Generator,
    budgets: Sequence[int] = range(1, 31),
    pruners: Mapping[str, PrunerFactory] | None = None,
    orders: int = 20,
    workers: int = 1,
    lower_is_better: bool = False,
) -> pd.DataFrame:
    """Expected best score of Optuna's pruners and of plain runs, per budget.

    Parameters
    ----------
    curves : DataFrame
        As for :func:`analysis.data.curves.curve_pools`.
    generator : numpy Generator
        Draws the orders in which runs arrive: `orders` permutations of the pool,
        the same ones for all pruners.
    budgets : sequence of positive ints
        In full trainings.
    pruners : mapping of name to function, optional
        Makes a fresh pruner from the number of evaluations of a full training;
        by default :func:`standard_pruners`.
    orders : int, at least 2
    workers : int
        As for :func:`replay_pruner`.
    lower_is_better : bool

    Returns
    -------
    DataFrame
        ``task, recipe, policy, budget, expected_best, standard_error, baseline,
        started, completed, cost, orders, workers``: means over the orders, and
        the standard error of the mean; ``baseline`` is the exact expected best of
        `budget` plain runs. Where ``cost`` is below the budget, the pruner used up
        the recorded runs, and the comparison is no longer at equal cost. Budgets
        above the number of runs are left out.
    """
    check_at_least("orders", orders, 2)
    rows: list[dict[str, object]] = []
    for pool in curve_pools(curves, lower_is_better=lower_is_better):
        wanted = [budget for budget in budgets if budget <= len(pool.runs)]
        if not wanted:
            continue
        permutations = [generator.permutation(len(pool.runs)) for _ in range(orders)]
        plain = expected_max(pool.best_so_far[:, -1], wanted)
        for name, factory in (pruners or standard_pruners()).items():
            outcomes = _outcomes(pool, factory, permutations, wanted, workers)
            for k, budget in enumerate(wanted):
                best = outcomes[:, k, 0]
                rows.append(
                    {
                        "task": pool.task,
                        "recipe": pool.recipe,
                        "policy": name,
                        "budget": budget,
                        "expected_best": pool.sign * best.mean(),
                        "standard_error": best.std(ddof=1) / np.sqrt(orders),
                        "baseline": pool.sign * plain[k],
                        "started": outcomes[:, k, 1].mean(),
                        "completed": outcomes[:, k, 2].mean(),
                        "cost": outcomes[:, k, 3].mean(),
                        "orders": orders,
                        "workers": workers,
                    }
                )
    return pd.DataFrame(rows)


def _outcomes(
    pool: CurvePool,
    factory: PrunerFactory,
    permutations: Sequence[IntArray],
    budgets: Sequence[int],
    workers: int,
) -> FloatArray:
    """Best, started, completed and cost by order and budget, shape (orders, budgets, 4)."""
    outcomes = np.empty((len(permutations), len(budgets), 4))
    for k, order in enumerate(permutations):
        replay = replay_pruner(
            pool.scores,
            factory(pool.scores.shape[1]),
            order,
            steps=pool.steps,
            budget=max(budgets),
            workers=workers,
        )
        outcomes[k] = [replay.at_budget(budget) for budget in budgets]
    return outcomes


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's messages on every study and trial, off while a replay runs."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
