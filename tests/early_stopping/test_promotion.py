"""Started cells, rungs and promotion, as pure functions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.early_stopping.brackets import StepRung, make_brackets, sample_runs
from seedlab.early_stopping.promotion import Curve, best_of, decide, may_be_promoted, ranking
from seedlab.errors import SeedlabError
from seedlab.spec.early_stopping import EarlyStoppingSpec, check_early_stopping
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import EvaluationSpec, RunSpec, Seeds
from seedlab.training.step_plan import StepPlan, make_plan


def grid(inits: int, orders: int) -> list[RunSpec]:
    cells = itertools.product(range(inits), range(orders))
    return [RunSpec(seeds=Seeds(init, order).resolved()) for init, order in cells]


def plan(total: int = 100, every: int = 10) -> StepPlan:
    recipe = RecipeSpec(max_steps=total, batch_size=10)
    return make_plan(recipe, EvaluationSpec(every=every), 100)


def policy(name: str = "start_many", **values: object) -> EarlyStoppingSpec:
    return EarlyStoppingSpec(name, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("started", [2, 5, 6, 7, 12, 17])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_draw_fills_whole_columns_first(started: int, seed: int) -> None:
    runs = grid(6, 3)
    drawn = sample_runs(runs, policy(started=started, seed=seed))
    assert len(drawn) == len(set(drawn)) == started
    assert list(drawn) == [run for run in runs if run in drawn]
    sizes = sorted((sum(r.seeds.order == o for r in drawn) for o in range(3)), reverse=True)
    whole, rest = divmod(started, 6)
    assert sizes == sorted([6] * whole + [rest] * (whole < 3) + [0] * (2 - whole), reverse=True)


def test_a_draw_does_not_depend_on_the_order_of_the_cells_and_does_on_the_seed() -> None:
    runs = grid(6, 3)
    drawn = {frozenset(sample_runs(runs, policy(started=7, seed=seed))) for seed in range(20)}
    assert len(drawn) > 5
    assert set(sample_runs(runs[::-1], policy(started=7))) == set(
        sample_runs(runs, policy(started=7))
    )


def test_all_cells_are_started_by_default_and_more_than_there_are_is_refused() -> None:
    assert sample_runs(grid(2, 2), policy()) == tuple(grid(2, 2))
    with pytest.raises(SeedlabError, match=r"started=5, but the grid has 4 cells.*start fewer"):
        sample_runs(grid(2, 2), policy(started=5))


def test_runs_are_compared_at_the_last_evaluation_before_the_fraction() -> None:
    """Costs are t f + p (1 - f) with the fraction that the evaluations allow."""
    for fraction, step in ((0.3, 30), (0.39, 30), (0.1, 10), (0.999, 90)):
        (bracket,) = make_brackets(grid(5, 2), policy(fraction=fraction, continued=4), plan())
        assert [(rung.step, rung.keep) for rung in bracket.rungs] == [(step, 4)]
        f = step / 100
        assert bracket.cost(100) == pytest.approx(10 * f + 4 * (1 - f), abs=1e-12)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (policy(fraction=0.05, continued=1), r"fraction=0.05 is step 5, before any evaluation"),
        (policy(continued=10), "continued=10 of 10 runs stops nothing"),
        (policy("successive_halving", fraction=0.15, reduction=2), "fall on one evaluation"),
        (policy("hyperband", fraction=0.1, reduction=2, started=2), "too few"),
        (policy("patience", patience=10), "patience=10 stops nothing: there are 10 evaluations"),
    ],
)
def test_policies_that_can_not_be_followed_are_refused(
    spec: EarlyStoppingSpec, message: str
) -> None:
    runs = sample_runs(grid(5, 2), spec)
    sparse = StepPlan(10, 100, 0, (), (0, 10, 40, 100))
    total = sparse if "one evaluation" in message else plan()
    with pytest.raises(SeedlabError, match=message):
        make_brackets(runs, spec, total)


def test_successive_halving_has_the_published_rungs() -> None:
    """Jamieson and Talwalkar: 27 runs, a third passes each rung, rungs at 1/27, 1/9 and 1/3."""
    spec = policy("successive_halving", fraction=1 / 27, reduction=3)
    (bracket,) = make_brackets(grid(9, 3), spec, plan(27, 1))
    assert [(rung.step, rung.keep) for rung in bracket.rungs] == [(1, 9), (3, 3), (9, 1)]
    steps = 27 * 1 + 9 * 2 + 3 * 6 + 1 * 18
    assert bracket.cost(27) == pytest.approx(steps / 27, abs=1e-12)


def test_hyperband_gives_every_bracket_its_share_of_the_cells() -> None:
    """With R = 9 and eta = 3 its brackets start 9, 5 and 3 runs; of 34 cells twice as many."""
    spec = policy("hyperband", fraction=1 / 9, reduction=3)
    brackets = make_brackets(grid(17, 2), spec, plan(9, 1))
    assert [len(bracket.runs) for bracket in brackets] == [18, 10, 6]
    assert {run for bracket in brackets for run in bracket.runs} == set(grid(17, 2))
    assert [[rung.step for rung in bracket.rungs] for bracket in brackets] == [[1, 3], [3], []]
    assert brackets[2].cost(9) == 6


SCORES = st.lists(
    st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3, math.nan])), min_size=2, max_size=9
)


@given(scores=SCORES, keep=st.integers(1, 8), seed=st.integers(0, 3), up=st.booleans())
def test_the_best_are_promoted_failed_and_nan_last(
    scores: list[float | None], keep: int, seed: int, up: bool
) -> None:
    """Against a sort in plain Python; None is a run that failed."""
    curves = {
        f"run{k}": Curve({}, failed=True) if s is None else Curve({0: math.nan, 5: s})
        for k, s in enumerate(scores)
    }
    spec = policy(continued=keep, seed=seed)
    going = decide(spec, StepRung(5, keep), list(curves), curves, higher_is_better=up)

    def rank(run: str) -> tuple[bool, bool, float]:
        curve = curves[run]
        nothing = curve.failed or math.isnan(curve.scores[5])
        score = 0.0 if nothing else curve.scores[5]
        return curve.failed, nothing, -score if up else score

    healthy = [run for run in curves if not curves[run].failed]
    assert going <= set(healthy)
    assert len(going) == min(keep, len(healthy))
    stopped = set(healthy) - going
    assert all(rank(a) <= rank(b) for a in going for b in stopped)
    order = ranking(curves, seed, higher_is_better=up)
    assert set(order[: len(going)]) == going


@settings(max_examples=200)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=3, max_size=12),
    keep=st.integers(1, 4),
    data=st.data(),
)
def test_a_run_that_may_not_be_promoted_never_is(
    scores: list[float], keep: int, data: st.DataObject
) -> None:
    """In every order of arrival: all promoted runs were kept, and never more than p."""
    bests = {f"run{k}": s for k, s in enumerate(scores)}
    curves = {run: Curve({1: s}) for run, s in bests.items()}
    going = decide(
        policy(continued=keep), StepRung(1, keep), list(bests), curves, higher_is_better=True
    )
    kept: set[str] = set()
    known: dict[str, float | None] = {}
    for run in data.draw(st.permutations(list(bests))):
        known[run] = bests[run]
        chances = set(may_be_promoted(keep, known, 0, higher_is_better=True))
        kept = (kept | {run}) & chances
        assert len(kept) <= keep
    assert kept == going


def test_the_median_counts_stopped_runs_at_their_last_score() -> None:
    """Six runs; the lower half stops at the first rung, and at the second the one that fell behind."""
    first = dict(zip("abcdef", (0.9, 0.8, 0.7, 0.3, 0.2, 0.1), strict=True))
    spec = policy("median", least=3)
    curves = {run: Curve({1: s}) for run, s in first.items()}
    going = decide(spec, StepRung(1, None), list("abcdef"), curves, higher_is_better=True)
    assert going == set("abc")
    curves |= {"a": Curve({1: 0.9, 2: 0.9}), "b": Curve({1: 0.8, 2: 0.8})}
    curves |= {"c": Curve({1: 0.7, 2: 0.6})}
    # Scores at this evaluation: .9 .8 .6 and .3 .2 .1 of old; their median is .45.
    again = decide(spec, StepRung(2, None), list("abc"), curves, higher_is_better=True)
    assert again == set("abc")
    # With the live ones alone it would be .8, and c would be stopped.
    assert np.median([0.9, 0.8, 0.6]) > 0.7


@pytest.mark.parametrize("name", ["start_many", "median"])
def test_the_untrained_model_promotes_no_run(name: str) -> None:
    """The run that was luckiest at step 0 is the worst after it."""
    curves = {
        run: Curve({0: start, 1: then})
        for run, start, then in (("a", 0.1, 0.7), ("b", 0.2, 0.6), ("lucky", 0.9, 0.5))
    }
    keep = 2 if name == "start_many" else None
    spec = policy(name, least=3) if keep is None else policy(name, continued=keep)
    going = decide(spec, StepRung(1, keep), list(curves), curves, higher_is_better=True)
    assert going == set("ab")
    assert ranking(curves, 0, higher_is_better=True) == ["a", "b", "lucky"]
    assert best_of(curves["lucky"], higher_is_better=True) == 0.5
    assert best_of(Curve({0: 0.9}), higher_is_better=True) is None


def test_patience_looks_at_every_run_by_itself() -> None:
    spec = policy("patience", patience=2)
    curves = {
        "rises": Curve({0: 0.1, 1: 0.2, 2: 0.3}),
        "rests": Curve({0: 0.5, 1: 0.4, 2: 0.5}),
        "gone": Curve({0: 0.5}, failed=True),
    }
    assert decide(spec, StepRung(2, None), list(curves), curves, higher_is_better=True) == {"rises"}
    lower = decide(spec, StepRung(2, None), list(curves), curves, higher_is_better=False)
    assert lower == {"rests"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (policy("start_mani"), r"policy=start_mani is not known.*Did you mean 'start_many'"),
        (policy(), "needs the number of runs that are trained to their end"),
        (policy(continued=3, started=3), "continued=3 of early_stopping.started=3 runs stops"),
        (policy(continued=3, fraction=1.0), r"fraction=1.0 is out of range; .* below 1"),
        (policy("none", continued=3), "continued=3 has no effect with early_stopping=none"),
        (policy("median", reduction=2), r"reduction=2 has no effect.*which uses fraction"),
    ],
)
def test_settings_that_mean_nothing_are_refused(spec: EarlyStoppingSpec, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        check_early_stopping(spec)
