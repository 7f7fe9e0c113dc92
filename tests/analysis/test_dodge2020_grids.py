"""Golden numbers of Dodge et al. 2020, from the recovered grids of best-found scores."""

import numpy as np
import pytest

from analysis.variance.components import seed_spreads, variance_components
from analysis.variance.permutation import restricted_test, two_way_f_test
from analysis.variance.published_tests import dodge2020_tests
from tests.suites.made_grids import dodge2020

pytestmark = pytest.mark.data

# mean, sd overall, sd given init, sd given order (ddof 0), as in table 3.
SPREADS = {
    "mrpc": (0.8250, 0.0608, 0.0575, 0.0594),
    "rte": (0.6260, 0.0689, 0.0659, 0.0668),
    "cola": (0.5877, 0.1009, 0.0901, 0.0946),
    "sst": (0.9422, 0.0028, 0.0028, 0.0024),
}
# Per cent of init, order, rest.
SHARES = {"mrpc": (6, 1, 93), "rte": (4, 2, 94), "cola": (3, 0, 97), "sst": (0, 24, 76)}
# Two-way F test: p of init, of order; to one significant digit or two decimals.
F_TESTS = {
    "mrpc": (3e-5, 0.26),
    "rte": (0.003, 0.09),
    "cola": (0.009, 0.54),
    "sst": (0.71, 1.6e-9),
}
# Best against worst: F and naive p of init, then of order (table 4 for MRPC and RTE).
NAIVE = {
    "mrpc": ((29.26, 2.0e-6), (7.57, 8.3e-3)),
    "rte": ((15.34, 2.8e-4), (9.64, 3.2e-3)),
    "cola": ((7.98, 6.9e-3), (7.01, 1.1e-2)),
    "sst": ((5.03, 3.3e-2), (27.84, 1.3e-5)),
}
AWARE = {"mrpc": (0.002, 0.58), "rte": (0.07, 0.32), "cola": (0.18, 0.29), "sst": (0.64, 0.0007)}
TASKS = tuple(SPREADS)


@pytest.mark.parametrize("task", TASKS)
def test_spreads(task):
    row = seed_spreads(dodge2020(task), ddof=0).iloc[0]
    found = row[["mean", "sd_overall", "sd_given_init", "sd_given_order"]].to_list()
    # Half a unit of the last printed digit.
    assert found == pytest.approx(SPREADS[task], abs=0.5001e-4)


@pytest.mark.parametrize("task", TASKS)
def test_shares(task):
    table = variance_components(dodge2020(task), interval=None)
    share = table.loc[table["subset"] == "all runs", "share"].to_numpy()
    assert (100 * share).round().astype(int).tolist() == list(SHARES[task])


@pytest.mark.parametrize("task", TASKS)
def test_f_tests(task):
    runs = dodge2020(task).complete_runs()
    found = [two_way_f_test(runs, factor)["p_value"] for factor in ("init_seed", "order_seed")]
    # Printed with one or two digits: within 20%.
    assert found == pytest.approx(F_TESTS[task], rel=0.2)


@pytest.mark.parametrize("task", TASKS)
def test_best_against_worst(task):
    runs = dodge2020(task).complete_runs()
    for i, factor in enumerate(("init_seed", "order_seed")):
        tests = dodge2020_tests(runs, factor, np.random.default_rng(40), permutations=4999)
        _, naive, aware = tests
        # MRPC is recovered to .0003, which moves F by up to .03.
        assert naive["statistic"] == pytest.approx(NAIVE[task][i][0], abs=0.03)
        assert naive["p_value"] == pytest.approx(NAIVE[task][i][1], rel=0.03)
        # 5,000 shuffles here and there: 5 standard errors of the difference.
        p = AWARE[task][i]
        assert abs(aware["p_value"] - p) < 5 * (2 * p * (1 - p) / 5000) ** 0.5 + 0.005


def test_only_init_on_mrpc_survives_the_count_of_its_selection():
    significant = {
        (task, factor)
        for task in ("mrpc", "rte")
        for factor in ("init_seed", "order_seed")
        if dodge2020_tests(
            dodge2020(task).complete_runs(), factor, np.random.default_rng(41), permutations=999
        )[2]["p_value"]
        < 0.05
    }
    assert significant == {("mrpc", "init_seed")}


def test_restricted_permutation_agrees_with_the_f_test():
    """5 standard errors of 1999 shuffles: false alarms below 1e-6."""
    for task in ("rte", "cola"):
        runs = dodge2020(task).complete_runs()
        for factor in ("init_seed", "order_seed"):
            exact = two_way_f_test(runs, factor)["p_value"]
            found = restricted_test(runs, factor, np.random.default_rng(42), permutations=1999)
            error = (exact * (1 - exact) / 1999) ** 0.5
            # The F test is an approximation for bounded scores: .02 on top.
            assert abs(found["p_value"] - exact) < 5 * error + 0.02
