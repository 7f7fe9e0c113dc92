"""The best of n against cost: sums by hand, enumeration, and no claim that the bands do not allow."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.best_of_n.bands import best_of_band
from analysis.best_of_n.compute_table import (
    COLUMNS,
    STOPPED,
    LeadChange,
    affordable,
    best_of_compute,
    change_of_lead,
    do_cross,
    stopped_study,
)
from analysis.best_of_n.expected_max_table import expected_max_table
from analysis.best_of_n.run_costs import mean_cost, run_costs
from tests.suites.made_studies import unread

NAN = float("nan")


def runs(**columns):
    scores = [0.5, 0.7, 0.6, 0.9, 0.65]
    base = {"task": "rte", "recipe": "devlin", "seed": range(5), "score": scores}
    return unread(pd.DataFrame(base | columns)).runs


def curve(cost, lower, upper, middle=None):
    n = np.arange(1, len(lower) + 1)
    best = middle or [(a + b) / 2 for a, b in zip(lower, upper, strict=True)]
    frame = {"n": n, "updates": cost * n, "lower": lower, "upper": upper, "expected_best": best}
    return pd.DataFrame(frame)


def test_the_cost_of_a_run_is_what_was_recorded():
    table = runs(
        steps=[100, 100, 100, 100, 50],
        batch_size=32,
        seconds=[7200.0, 3600.0, 3600.0, 3600.0, 0.0],
        device=["cuda:0", "cuda", "cuda:1", "cpu", "cuda:0"],
    )
    costs = run_costs(table)
    assert costs["updates"].tolist() == [100, 100, 100, 100, 50]
    assert costs["examples"].tolist() == [3200, 3200, 3200, 3200, 1600]
    assert costs["gpu_hours"].tolist()[:3] == [2.0, 1.0, 1.0]
    assert np.isnan(costs["gpu_hours"][3])  # On a CPU.
    mean = mean_cost(table)
    assert (mean["updates"], mean["examples"], mean["seconds"]) == (90, 2880, 3600)
    assert np.isnan(mean["gpu_hours"])
    assert mean_cost(table.loc[table["device"] != "cpu"])["gpu_hours"] == pytest.approx(1.0)


def test_a_cost_that_one_run_lacks_is_unknown_and_so_is_nothing_at_all():
    assert np.isnan(mean_cost(runs(seconds=[1.0, 2.0, None, 4.0, 5.0]))["seconds"])
    assert np.isnan(mean_cost(runs(steps=0))["updates"])
    assert np.isnan(mean_cost(runs())["updates"])
    assert np.isnan(mean_cost(runs(batch_size="32 a GPU", steps=10))["examples"])


@pytest.mark.parametrize("lower", [False, True])
def test_every_row_is_the_average_over_all_choices_at_the_cost_of_so_many_runs(lower):
    table = runs(steps=[90, 100, 110, 100, 100], seconds=[2.0, 4.0, 3.0, 3.0, 3.0])
    expected = expected_max_table(table.drop(columns="model"), lower_is_better=lower)
    found = best_of_compute(expected, table)
    assert found.columns.tolist() == list(COLUMNS)
    best = min if lower else max
    for row in found.to_dict("records"):
        chosen = [best(c) for c in itertools.combinations(table["score"], row["n"])]
        assert row["expected_best"] == pytest.approx(np.mean(chosen))
        assert (row["updates"], row["seconds"]) == pytest.approx((100 * row["n"], 3 * row["n"]))
    assert found["lower"].equals(expected["band_lower"].rename("lower"))
    assert found["gpu_hours"].isna().all()


def test_a_budget_pays_for_whole_runs():
    """By counting the runs one by one."""
    price, most = 0.1, 7
    steps = curve(price, [0.0] * most, [1.0] * most)
    budgets = np.array([0.05, 0.1, 0.1999, 0.2, 0.3, 0.35, 0.7, 5.0])
    counted = [sum(k * price <= b + 1e-12 for k in range(1, most + 1)) for b in budgets]
    assert affordable(steps, "updates", budgets).tolist() == [n - 1 for n in counted]
    assert counted[:5] == [0, 1, 1, 2, 3]


def test_the_lead_changes_where_bands_part_in_both_directions():
    steady = curve(100, [0.70, 0.71, 0.72], [0.74, 0.75, 0.76])
    wild = curve(50, [0.40, 0.50, 0.60, 0.72, 0.80, 0.82], [0.50, 0.69, 0.75, 0.78, 0.90, 0.92])
    # At 100 updates steady's one run meets two of the other, at 250 two runs meet five.
    assert change_of_lead(steady, wild, "updates") == LeadChange(True, 100.0, 250.0)
    assert change_of_lead(wild, steady, "updates") == LeadChange(False, 100.0, 250.0)
    errors = [
        c.assign(lower=1 - c["upper"], upper=1 - c["lower"], expected_best=1 - c["expected_best"])
        for c in (steady, wild)
    ]
    found = change_of_lead(*errors, "updates", lower_is_better=True)
    assert found == LeadChange(True, 100.0, 250.0)
    assert do_cross(*errors, "updates")


def test_bands_that_overlap_or_are_unknown_show_no_change():
    steady = curve(100, [0.70, 0.71, 0.72], [0.74, 0.75, 0.76])
    wild = curve(50, [0.40, 0.50, 0.60, 0.70, 0.72, 0.74], [0.50, 0.69, 0.75, 0.78, 0.90, 0.92])
    assert change_of_lead(steady, wild, "updates") is None
    assert do_cross(steady, wild, "updates")
    ended = wild.assign(lower=[*wild["lower"][:2], *[NAN] * 4])
    assert change_of_lead(steady, ended, "updates") is None
    assert not do_cross(steady, steady, "updates")
    # Equal but for rounding, in turns.
    near = steady.assign(expected_best=steady["expected_best"] + np.array([1e-17, -1e-17, 1e-17]))
    assert not do_cross(steady, near, "updates")


def test_equal_recipes_of_two_prices_hardly_ever_change_the_lead():
    """The cheaper one leads at every budget, so each claim is false: at most 10% are allowed.

    More than 14 of 60 claims at that rate have a probability below .001.
    """
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(60):
        made = []
        for price in (100, 30):
            band = best_of_band(rng.standard_normal(30))
            known = band.ns <= band.informative
            made.append(curve(price, band.lower[known].tolist(), band.upper[known].tolist()))
        false += change_of_lead(*made, "updates") is not None
    assert false <= 14


def test_a_study_that_stopped_runs_costs_all_of_them():
    table = runs(
        status=["stopped", "stopped", "finished", "finished", "stopped"],
        steps=[10, 20, 100, 100, 10],
        seconds=[1.0, 2.0, 10.0, 10.0, 1.0],
    )
    (row,) = stopped_study(table, "rte", "devlin").to_dict("records")
    assert (row["n"], row["schedule"]) == (5, STOPPED)
    assert (row["updates"], row["seconds"], row["expected_best"]) == (240, 24, 0.9)
    assert np.isnan([row["lower"], row["gpu_hours"]]).all()
    going = table.assign(status="running")
    assert stopped_study(going, "rte", "devlin").empty
    lower = stopped_study(table.assign(higher_is_better=False), "rte", "devlin")
    assert lower["expected_best"].tolist() == [0.5]
