import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from analysis.data.score_table import read_table
from analysis.data.study import concat_studies
from analysis.errors import DesignError
from analysis.variance.components import seed_spreads, variance_components
from analysis.variance.henderson import cell_table, components
from analysis.variance.intervals import fiducial_intervals, jackknife_intervals, shares
from tests.suites.made_grids import crossed, grid_frame


def study(frame, **columns):
    return read_table(frame.assign(**({"task": "t"} | columns)), majority=-9.0)


def test_shares_truncate_negative_components_and_have_none_for_constants():
    assert shares(np.array([2.0, -1.0, 2.0])).tolist() == [0.5, 0.0, 0.5]
    assert np.isnan(shares(np.zeros(3))).all()


def test_jackknife_by_hand_over_every_deleted_seed():
    frame = crossed(np.random.default_rng(2), 4, 5, drop=2)
    found = jackknife_intervals(cell_table(frame))
    full = components(cell_table(frame))
    error = dict.fromkeys(full, 0.0)
    for factor in ("init_seed", "order_seed"):
        levels = sorted(set(frame[factor]))
        parts = [components(cell_table(frame[frame[factor] != level])) for level in levels]
        for name in full:
            values = np.array([part[name] for part in parts])
            error[name] += (len(values) - 1) * values.var()
    for i, name in enumerate(found.names):
        half = t.ppf(0.975, 3) * error[name] ** 0.5
        assert found.upper[i] == pytest.approx(full[name] + half, rel=1e-9)
        assert found.lower[i] == pytest.approx(max(full[name] - half, 0), abs=1e-12)


@pytest.mark.stat
@pytest.mark.parametrize("variances", [(0.3, 0.0, 1.0), (1.0, 1.0, 1.0)])
def test_jackknife_intervals_cover(variances):
    """At least 160 of 200: false alarms 1e-5 per component if the coverage is .90."""
    generator = np.random.default_rng(21)
    hits, share_hits = np.zeros(3), np.zeros(3)
    share = np.array(variances) / sum(variances)
    for _ in range(200):
        frame = crossed(generator, 6, 6, sds=(*np.sqrt(variances), 0.0))
        found = jackknife_intervals(cell_table(frame))
        hits += (found.lower <= variances) & (variances <= found.upper)
        share_hits += (found.share_lower <= share) & (share <= found.share_upper)
    assert (hits >= 160).all(), hits
    assert (share_hits >= 160).all(), share_hits


@pytest.mark.stat
def test_fiducial_intervals_cover_on_clean_grids():
    """At least 176 of 200 at a nominal 95%: false alarms 1e-4 per component if exact."""
    generator = np.random.default_rng(22)
    truth = np.array([0.5, 0.2, 1.0])
    hits = np.zeros(3)
    for _ in range(200):
        frame = crossed(generator, 6, 6, sds=(*np.sqrt(truth), 0.0))
        found = fiducial_intervals(cell_table(frame), generator, draws=1000)
        hits += (found.lower <= truth) & (truth <= found.upper)
    assert (hits >= 176).all(), hits


@pytest.mark.slow
@pytest.mark.stat
@pytest.mark.parametrize(("a", "b"), [(5, 5), (10, 10), (5, 15)])
@pytest.mark.parametrize(
    ("variances", "documented"),
    [((0.0, 0.0, 1.0), 0.92), ((0.3, 0.1, 1.0), 0.92), ((1.0, 1.0, 1.0), 0.87)],
)
def test_the_documented_coverage_of_the_jackknife(a, b, variances, documented):
    """Of 1000, at most four standard errors below: false alarms 4e-5 per component."""
    generator = np.random.default_rng(23)
    hits, share_hits = np.zeros(3), np.zeros(3)
    share = np.array(variances) / sum(variances)
    for _ in range(1000):
        frame = crossed(generator, a, b, sds=(*np.sqrt(variances), 0.0))
        found = jackknife_intervals(cell_table(frame))
        hits += (found.lower <= variances) & (variances <= found.upper)
        share_hits += (found.share_lower <= share) & (share <= found.share_upper)
    for counted, claim in ((hits, documented), (share_hits, 0.93)):
        error = (claim * (1 - claim) / 1000) ** 0.5
        assert (counted / 1000 >= claim - 4 * error).all(), counted


def test_intervals_that_cannot_be_had_are_refused():
    two = cell_table(crossed(np.random.default_rng(1), 2, 3))
    with pytest.raises(
        DesignError, match=r"no jackknife interval: without init seed 1 of 2, .*1 i"
    ):
        jackknife_intervals(two)
    with pytest.raises(ValueError, match=r"level is 95; allowed: between 0 and 1"):
        jackknife_intervals(two, level=95)
    with pytest.raises(ValueError, match=r"draws is 5; allowed: whole numbers from 100 on"):
        fiducial_intervals(two, np.random.default_rng(0), draws=5)


def test_table_has_three_subsets_and_counts_failures():
    generator = np.random.default_rng(4)
    frame = crossed(generator, 5, 5, sds=(0.1, 0.1, 0.1, 0))
    failed = generator.random(25) < 0.2
    table = variance_components(study(frame.assign(score=np.where(failed, -9.0, frame["score"]))))
    assert set(table["subset"]) == {"all runs", "without failed", "failure"}
    by_subset = table.groupby("subset", sort=False)
    assert by_subset["n_runs"].first().tolist() == [25, 25 - failed.sum(), 25]
    assert by_subset["n_failed"].first().tolist() == [failed.sum(), 0, failed.sum()]
    assert by_subset["n_missing"].first().tolist() == [0, failed.sum(), 0]
    assert by_subset["share"].sum().tolist() == pytest.approx([1.0, 1.0, 1.0])
    inside = (table["lower"] <= table["variance"]) & (table["variance"] <= table["upper"])
    assert inside.all()
    assert (table["share_lower"] <= table["share"]).all()
    assert (table["share"] <= table["share_upper"]).all()
    assert (table["variance"] == table["raw"].clip(lower=0)).all()


def test_table_says_why_something_is_missing():
    constant = variance_components(study(grid_frame(np.full((3, 3), 0.5))))
    assert constant["share"].isna().all()
    assert constant["note"].str.contains("all values are equal").all()
    row = variance_components(study(grid_frame(np.random.default_rng(0).random((1, 4)))))
    assert row["variance"].isna().all()
    assert row["note"].str.contains("1 init and 4 order seeds").any()
    small = variance_components(study(grid_frame(np.random.default_rng(0).random((2, 4)))))
    all_runs = small[small["subset"] == "all runs"]
    assert all_runs["variance"].notna().all()
    assert all_runs["lower"].isna().all()
    assert all_runs["note"].str.contains("no jackknife interval").all()


def test_repeats_split_the_rest():
    table = variance_components(study(crossed(np.random.default_rng(1), 4, 4, repeats=2)))
    part = table[table["subset"] == "all runs"]
    assert part["component"].tolist() == ["init", "order", "interaction", "noise"]
    assert part["splits"].all()
    pooled = variance_components(
        study(crossed(np.random.default_rng(1), 4, 4, repeats=2)), repeats="pool"
    )
    assert not pooled["splits"].any()


def test_fiducial_needs_a_generator():
    one = study(crossed(np.random.default_rng(1), 3, 3))
    with pytest.raises(ValueError, match="give a numpy Generator"):
        variance_components(one, interval="fiducial")
    with pytest.raises(ValueError, match="interval is 'wald'; allowed: 'jackknife'"):
        variance_components(one, interval="wald")
    table = variance_components(one, interval="fiducial", generator=np.random.default_rng(0))
    again = variance_components(one, interval="fiducial", generator=np.random.default_rng(0))
    pd.testing.assert_frame_equal(table, again)
    assert set(table.loc[table["subset"] == "all runs", "method"]) == {"fiducial"}


def test_spreads_by_hand():
    matrix = np.array([[0.0, 2.0, 4.0], [0.0, 0.0, 6.0]])
    table = seed_spreads(study(grid_frame(matrix)), ddof=0).iloc[0]
    assert table["sd_given_init"] == pytest.approx((np.std([0, 2, 4]) + np.std([0, 0, 6])) / 2)
    assert table["sd_given_order"] == pytest.approx((0 + 1 + 1) / 3)
    assert table["sd_overall"] == pytest.approx(np.std(matrix))
    sample = seed_spreads(study(grid_frame(matrix))).iloc[0]
    assert sample["sd_overall"] == pytest.approx(np.std(matrix, ddof=1))
    with pytest.raises(ValueError, match="ddof is 2; allowed: 0, 1"):
        seed_spreads(study(grid_frame(matrix)), ddof=2)


def test_groups_are_apart():
    generator = np.random.default_rng(9)
    both = concat_studies(
        [study(crossed(generator, 3, 3), recipe=name) for name in ("short", "long")]
    )
    table = seed_spreads(both)
    assert table["recipe"].unique().tolist() == ["short", "long"]
    assert (table["n_runs"] == 9).all()


def test_a_group_whose_runs_all_failed_has_an_empty_subset():
    frame = pd.DataFrame(
        [
            {"task": "t", "init_seed": i, "order_seed": o, "score": 0.4 + 0.01 * i, "failed": True}
            for i in range(3)
            for o in range(3)
        ]
    )
    table = variance_components(read_table(frame))
    counts = table.groupby("subset").n_runs.first()
    assert counts["all runs"] == 9
    assert counts.get("without failed", 0) == 0
