"""Cohorts as Optuna pruners and as a loop that pauses, against the rules themselves."""

import itertools
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from analysis.rules.ask_and_tell import run_cohort
from analysis.rules.policies import keep_best, start_many
from analysis.rules.pruners import CohortPruner, SequentialPruner, halving_rungs

optuna.logging.set_verbosity(optuna.logging.WARNING)

# Few values, so that ties are common.
CURVES = st.integers(1, 8).flatmap(
    lambda runs: st.lists(
        st.lists(st.sampled_from([0.1, 0.2, 0.3, float("nan")]), min_size=6, max_size=6),
        min_size=runs,
        max_size=runs,
    )
)


def new_study(pruner=None, direction="maximize"):
    return optuna.create_study(
        direction=direction,
        pruner=pruner or optuna.pruners.NopPruner(),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )


def looped(curves, rungs, seed=0, direction="maximize"):
    """States after the loop, and the steps trained in all."""
    trained = []

    def advance(trial, before, step):
        trained.append((trial.number, before, step))
        return curves[trial.number, before:step]

    frozen = run_cohort(
        new_study(direction=direction), advance,
        started=len(curves), rungs=rungs, steps=curves.shape[1], seed=seed,
    )  # fmt: skip
    return frozen, trained


@given(CURVES, st.integers(1, 8), st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_the_loop_continues_exactly_what_the_rule_says(curves, continued, seed):
    curves = np.array(curves)
    curves[:, -1] = 0.5  # a trial that ends without a score can't be told as complete
    continued = min(continued, len(curves))
    frozen, trained = looped(curves, {2: continued}, seed)
    kept = start_many(curves[:, :2], continued, names=range(len(curves)), seed=seed)
    assert [t.state == TrialState.COMPLETE for t in frozen] == kept.tolist()
    assert [t.value for t in frozen if t.state == TrialState.COMPLETE] == [0.5] * continued
    assert sum(step - before for _, before, step in trained) == 2 * len(curves) + 4 * continued
    # The barrier: nobody goes on before everybody has arrived.
    assert [step for _, _, step in trained] == sorted(step for _, _, step in trained)


def test_successive_halving_against_the_rule_by_hand():
    curves = np.random.default_rng(0).normal(size=(9, 9))
    rungs = halving_rungs(9, 1, 9)
    assert rungs == {1: 3, 3: 1}
    frozen, _ = looped(curves, rungs)
    first = np.flatnonzero(keep_best(curves[:, 0], 3))
    second = first[keep_best(curves[first, :3].max(axis=1), 1, names=first)]
    assert [t.number for t in frozen if t.state == TrialState.COMPLETE] == second.tolist()
    assert {t.number for t in frozen if t.last_step == 3} == set(first) - set(second)


def test_a_loss_is_minimised():
    losses = np.random.default_rng(1).normal(size=(6, 4))
    up, _ = looped(-losses, {2: 2})
    down, _ = looped(losses, {2: 2}, direction="minimize")
    assert [t.state for t in up] == [t.state for t in down]
    assert [t.value for t in down if t.value is not None] == [
        -t.value for t in up if t.value is not None
    ]


def test_a_trial_whose_training_raises_is_told_as_failed():
    study = new_study()

    def advance(trial, before, step):
        if trial.number == 1:
            raise ZeroDivisionError("loss of nothing")
        return [0.1] * (step - before)

    with pytest.raises(ZeroDivisionError):
        run_cohort(study, advance, started=3, rungs={1: 1}, steps=2)
    assert study.trials[1].state == TrialState.FAIL
    with pytest.raises(ValueError, match=r"returned 1 scores for trial 0.*one score per step, 2"):
        run_cohort(new_study(), lambda *_: [0.1], started=1, rungs={}, steps=2)


def test_a_trial_that_never_scored_is_told_as_failed():
    frozen, _ = looped(np.full((2, 2), np.nan), {1: 1})
    assert sorted(t.state.name for t in frozen) == ["FAIL", "PRUNED"]


def in_lockstep(curves, pruner, order=None):
    """The trials that a pruner leaves when all of them report a step before any is asked."""
    study = new_study(pruner)
    trials = [study.ask() for _ in curves]
    for step in range(curves.shape[1]):
        running = [t for t in study.trials if t.state == TrialState.RUNNING]
        for t in running:
            trials[t.number].report(curves[t.number, step], step + 1)
        for number in [t.number for t in running] if order is None else order:
            if study.trials[number].state == TrialState.RUNNING and trials[number].should_prune():
                study.tell(trials[number], state=TrialState.PRUNED)
    return [t.number for t in study.trials if t.state == TrialState.RUNNING]


@given(CURVES, st.integers(1, 8), st.integers(1, 8), st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_the_pruner_is_exact_where_trials_reach_a_rung_together(curves, first, second, seed):
    curves = np.array(curves)
    rungs = {1: min(first, len(curves)), 3: min(first, second, len(curves))}
    frozen, _ = looped(np.where(np.isnan(curves), -1.0, curves), rungs, seed)
    # The same gaps as scores below all others: the loop wants a value at the end.
    left = in_lockstep(
        np.where(np.isnan(curves), -1.0, curves), CohortPruner(len(curves), rungs, seed=seed)
    )
    assert left == [t.number for t in frozen if t.state == TrialState.COMPLETE]


@pytest.mark.parametrize("reduction", [2, 3])
def test_it_agrees_with_optunas_successive_halving_where_one_trial_is_kept(reduction):
    """Optuna's keeps max(1, arrived // reduction) of those that have arrived.

    In a cohort of less than twice the reduction that is one, as our rung says, if the best
    of the cohort comes first.
    """
    curves = np.random.default_rng(2).normal(size=(2 * reduction - 1, 5))
    best_first = np.argsort(-curves[:, 0]).tolist()
    theirs = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction)
    ours = CohortPruner(len(curves), {1: 1})
    assert in_lockstep(curves, theirs, best_first) == in_lockstep(curves, ours) == best_first[:1]


def test_one_after_another_the_pruner_prunes_the_last_alone():
    """What its docstring admits: without a barrier the others have trained on."""
    pruner = CohortPruner(4, {1: 1})
    study = new_study(pruner)
    scores = iter([0.4, 0.3, 0.2, 0.1])

    def objective(trial):
        score = next(scores)
        for step in (1, 2, 3):
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    study.optimize(objective, n_trials=4)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert [t.last_step for t in study.trials] == [3, 3, 3, 1]


def test_cohorts_follow_one_another_and_a_failed_trial_holds_nobody_up():
    study = new_study(CohortPruner(2, {1: 1}))
    trials = [study.ask() for _ in range(4)]
    study.tell(trials[2], state=TrialState.FAIL)
    for trial, score in zip(trials, [0.1, 0.2, None, 0.0], strict=True):
        if score is not None:
            trial.report(score, 1)
    assert [trials[n].should_prune() for n in (0, 1, 3)] == [True, False, False]


def sequential(scores, direction="maximize", **options):
    """Whether each trial would be pruned, all of them running with the same seeds."""
    study = new_study(SequentialPruner(**options), direction)
    trials = [study.ask() for _ in scores]
    for trial, row in zip(trials, scores, strict=True):
        for seed, score in enumerate(row):
            trial.report(score, seed)
    return [trial.should_prune() for trial in trials]


def test_a_clearly_worse_setting_is_pruned_and_the_incumbent_is_not():
    good, bad = [0.80, 0.82, 0.81, 0.83], [0.50, 0.51, 0.52, 0.50]
    assert sequential([good, bad], looks=[4], rivals=1, alpha=0.05) == [False, True]
    assert sequential([good, bad], "minimize", looks=[4], rivals=1, alpha=0.05) == [True, False]
    # At another number of seeds it does not look.
    assert sequential([good, bad], looks=[3, 5], rivals=1, alpha=0.05) == [False, False]


def test_only_seeds_that_both_have_are_compared():
    study = new_study(SequentialPruner([4], 1, alpha=0.05))
    rival, trial = study.ask(), study.ask()
    for seed in range(4):
        rival.report(0.8 + 0.01 * seed, seed + 1)
        trial.report(0.5, seed)
    assert not trial.should_prune()  # the rival lacks seed 0
    rival.report(0.81, 0)
    assert trial.should_prune()


def test_pruned_and_failed_trials_are_no_incumbents():
    study = new_study(SequentialPruner([4], 1, alpha=0.05))
    lost, crashed, trial = (study.ask() for _ in range(3))
    for seed in range(4):
        for one, score in ((lost, 0.9), (crashed, 0.9), (trial, 0.5)):
            one.report(score + 0.01 * seed, seed)
    study.tell(lost, state=TrialState.PRUNED)
    study.tell(crashed, state=TrialState.FAIL)
    assert not trial.should_prune()


@pytest.mark.stat
def test_the_error_is_that_of_the_whole_search():
    """Six equal settings in lockstep, looks after 4, 6 and 8 seeds. False-alarm rate below 1e-4.

    A given one is pruned in at most a tenth of the searches. Compared with whoever looks best
    without a correction for that, the share is well above it: the simulation can see the error.
    """
    generator, repeats, alpha, looks = np.random.default_rng(7), 250, 0.1, (4, 6, 8)
    rates = []
    for rivals in (5, 1):
        lost = 0
        for _ in range(repeats):
            pruner = SequentialPruner(looks, rivals, alpha=alpha)
            scores = generator.normal(size=(6, 8))
            lost += 0 not in in_rounds(scores, pruner, looks)
        rates.append(lost / repeats)
    error = np.sqrt(alpha * (1 - alpha) / repeats)
    assert rates[0] <= alpha + 4 * error
    assert rates[1] > alpha + 2 * error


def in_rounds(scores, pruner, looks):
    study = new_study(pruner)
    trials = {trial.number: trial for trial in (study.ask() for _ in scores)}
    for before, look in itertools.pairwise((0, *looks)):
        for number, trial in trials.items():
            for seed in range(before, look):
                trial.report(scores[number, seed], seed)
        lost = [number for number, trial in trials.items() if trial.should_prune()]
        for number in lost:
            study.tell(trials.pop(number), state=TrialState.PRUNED)
    return set(trials)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CohortPruner(0, {1: 1}), "started is 0"),
        (lambda: CohortPruner(3, {0: 1}), r"rungs is \{0: 1\}; allowed"),
        (lambda: CohortPruner(3, {1: 4}), "no more than at the rung before"),
        (lambda: CohortPruner(5, {1: 2, 2: 3}), "no more than at the rung before"),
        (lambda: CohortPruner(5, {1: 0}), "at each rung at least one"),
        (lambda: SequentialPruner([4], 0), "rivals is 0"),
        (lambda: SequentialPruner([], 1), r"looks is \(\)"),
        (lambda: run_cohort(new_study(), lambda *_: [], started=2, rungs={2: 1}, steps=2), "steps is 2"),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_examples_of_the_documentation_run():
    page = Path(__file__).parents[3] / "docs" / "how-to" / "search.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    names = {}
    exec("\n".join(blocks), names)
    states = [trial.state for trial in names["trials"]]
    assert (states.count(TrialState.COMPLETE), len(states)) == (5, 20)
