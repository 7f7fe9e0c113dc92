import dataclasses

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.api import OLS

from analysis.comparison.bootstrap import compare_predictions, multi_bootstrap
from analysis.data.study import concat_studies
from analysis.errors import TableError
from tests.suites.made_studies import with_predictions


def correctness(generator, seeds, examples, *, gain=0.0, seed_sd=0.1, example_sd=0.2):
    skill = 0.6 + gain + seed_sd * generator.standard_normal((seeds, 1))
    return skill + example_sd * generator.standard_normal((1, examples))


def test_against_a_plain_loop():
    """Means and quantiles of 4000 resamples agree within five of their standard errors."""
    generator = np.random.default_rng(0)
    a, b = generator.random((5, 12)), generator.random((5, 12)) + 0.1
    for paired in (True, False):
        found = multi_bootstrap(a, b, np.random.default_rng(1), paired=paired, resamples=4000)
        draws = []
        for _ in range(4000):
            example = generator.integers(12, size=12)
            one = generator.integers(5, size=5)
            other = one if paired else generator.integers(5, size=5)
            draws.append(b[other][:, example].mean() - a[one][:, example].mean())
        assert found.difference == pytest.approx((b - a).mean())
        # Quantiles at 2.5% of 4000 normal draws: standard error .042 sd, twice.
        error = 5 * 0.042 * 2**0.5 * np.std(draws)
        assert found.lower == pytest.approx(np.quantile(draws, 0.025), abs=error)
        assert found.upper == pytest.approx(np.quantile(draws, 0.975), abs=error)


def test_planted_variances_set_the_width():
    """Many examples of one difficulty: paired runs leave the seeds' variance of the gain only.

    The width of 4000 resamples is known to 3%; 15% is five standard errors.
    """
    generator = np.random.default_rng(2)
    base = generator.random((1, 400))
    effect = 0.1 * generator.standard_normal((40, 1))
    found = multi_bootstrap(
        np.tile(base, (40, 1)), base + effect, np.random.default_rng(3), resamples=4000
    )
    expected = 2 * 1.96 * effect.std() / 40**0.5
    assert found.upper - found.lower == pytest.approx(expected, rel=0.15)


def test_runs_of_a_seed_are_averaged_first():
    generator = np.random.default_rng(4)
    a, b = generator.random((3, 10)), generator.random((3, 10))
    seeds = np.array([7, 8, 9])
    single = multi_bootstrap(a, b, np.random.default_rng(5), seeds_a=seeds, seeds_b=seeds)
    nested = multi_bootstrap(
        np.concatenate([a - 0.2, a + 0.2]),
        b,
        np.random.default_rng(5),
        seeds_a=np.tile(seeds, 2),
        seeds_b=seeds,
    )
    assert nested.n_seeds_a == 3
    assert (nested.lower, nested.upper) == pytest.approx((single.lower, single.upper))


def test_p_value_has_a_floor_and_counts_ties_against():
    zero, one = np.zeros((3, 6)), np.ones((3, 6))
    clear = multi_bootstrap(zero, one, np.random.default_rng(0), resamples=999)
    assert clear.p_value == clear.p_floor == 1 / 1000
    same = multi_bootstrap(one, one, np.random.default_rng(0), resamples=999)
    assert same.p_value == 1.0


@pytest.mark.stat
@pytest.mark.parametrize("paired", [True, False])
def test_p_values_hold_their_level_without_a_difference(paired):
    """20 seeds: the bootstrap is liberal by a few points; more than 12% of 300 at a nominal 5%
    has a probability below 1e-4 even at a true 6.5%."""
    generator = np.random.default_rng(6)
    low = 0
    for _ in range(300):
        difficulty = 0.2 * generator.standard_normal((1, 50))
        a = difficulty + 0.1 * generator.standard_normal((20, 1))
        b = difficulty + 0.1 * generator.standard_normal((20, 1))
        low += multi_bootstrap(a, b, generator, paired=paired, resamples=199).p_value <= 0.05
    assert low <= 36
    assert low >= binom.ppf(1e-6, 300, 0.03)


def two_recipes(gain=2.0, runs_b=5):
    generator = np.random.default_rng(7)
    labels = generator.integers(2, size=40)
    signal = np.stack([1 - labels, labels], axis=1)
    logits = generator.standard_normal((5, 40, 2))
    better = generator.standard_normal((runs_b, 40, 2)) + gain * signal
    return concat_studies(
        [
            with_predictions(logits, labels, recipe="short"),
            with_predictions(better, labels, recipe="long"),
        ]
    )


def test_table_of_comparisons():
    table = compare_predictions(two_recipes(), np.random.default_rng(0))
    row = table.iloc[0]
    assert (row["a"], row["b"], row["measure"], row["paired"]) == (
        "short",
        "long",
        "accuracy",
        True,
    )
    assert row["lower"] > 0
    assert row["p_value"] == row["p_floor"]
    unpaired = compare_predictions(two_recipes(), np.random.default_rng(0), unit="run").iloc[0]
    assert not unpaired["paired"]
    fewer = compare_predictions(two_recipes(runs_b=3), np.random.default_rng(0)).iloc[0]
    assert (fewer["n_seeds_a"], fewer["n_seeds_b"], fewer["paired"]) == (3, 3, True)


def test_clusters_against_a_plain_loop():
    """Means and quantiles of 1500 resamples agree within five of their standard errors."""
    generator = np.random.default_rng(8)
    clusters = np.repeat([3, 1, 2, 0], [2, 5, 1, 4])
    shift = generator.standard_normal(4)[clusters]
    a, b = generator.random((3, 12)), generator.random((3, 12)) + 0.3 * shift
    found = multi_bootstrap(
        a, b, np.random.default_rng(1), clusters=clusters, paired=False, resamples=4000
    )
    members = [np.flatnonzero(clusters == c) for c in range(4)]
    draws = []
    for _ in range(1500):
        example = np.concatenate([members[c] for c in generator.integers(4, size=4)])
        one, other = generator.integers(3, size=(2, 3))
        draws.append(b[other][:, example].mean() - a[one][:, example].mean())
    assert found.n_clusters == 4
    # Quantiles at 2.5% of 1500 normal draws: standard error .069 sd; of 4000: .042 sd.
    error = 5 * np.hypot(0.069, 0.042) * np.std(draws)
    assert found.lower == pytest.approx(np.quantile(draws, 0.025), abs=error)
    assert found.upper == pytest.approx(np.quantile(draws, 0.975), abs=error)


def test_clustered_error_is_that_of_statsmodels():
    generator = np.random.default_rng(9)
    clusters = np.array(["a", "b", "c", "d", "e"])[generator.integers(5, size=60)]
    a, b = generator.random((4, 60)), generator.random((4, 60))
    found = multi_bootstrap(a, b, generator, clusters=clusters, resamples=100)
    per_example = (b - a).mean(axis=0)
    fit = OLS(per_example, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": np.unique(clusters, return_inverse=True)[1]}
    )
    assert found.se_clusters == pytest.approx(fit.bse[0], rel=1e-12)
    assert found.se_examples == pytest.approx(per_example.std(ddof=1) / 60**0.5, rel=1e-12)


def test_a_cluster_per_example_is_no_cluster():
    generator = np.random.default_rng(10)
    a, b = generator.random((3, 20)), generator.random((3, 20))
    plain = multi_bootstrap(a, b, np.random.default_rng(0))
    own = multi_bootstrap(a, b, np.random.default_rng(0), clusters=range(20))
    assert (own.lower, own.upper) == pytest.approx((plain.lower, plain.upper))
    assert own.se_clusters == pytest.approx(plain.se_examples)
    assert (plain.n_clusters, np.isnan(plain.se_clusters)) == (0, True)


def test_copies_of_an_example_are_one_cluster():
    """Ten copies of each example: with clusters the interval is that of the originals, and
    without them .316 times as wide. Widths of 2000 resamples are known to 4%; 20% is five."""
    generator = np.random.default_rng(11)
    a, b = np.zeros((2, 30)), np.tile(generator.standard_normal(30), (2, 1))
    many = [np.repeat(side, 10, axis=1) for side in (a, b)]
    clusters = np.repeat(np.arange(30), 10)

    def width(sides, **options):
        found = multi_bootstrap(*sides, np.random.default_rng(2), resamples=2000, **options)
        return found.upper - found.lower

    whole = width((a, b))
    assert width(many, clusters=clusters) == pytest.approx(whole, rel=1e-9)
    assert width(many) == pytest.approx(0.316 * whole, rel=0.2)


def test_clusters_of_the_predictions_are_used():
    study = two_recipes()
    clusters = study.predictions["example"].map(lambda n: f"passage {n // 4}")
    named = dataclasses.replace(study, predictions=study.predictions.assign(cluster=clusters))
    row = compare_predictions(named, np.random.default_rng(0)).iloc[0]
    bare = compare_predictions(study, np.random.default_rng(0)).iloc[0]
    assert (row["n_clusters"], bare["n_clusters"]) == (10, 0)
    assert row["difference"] == bare["difference"]
    assert row["se_clusters"] > 0
    other = clusters.where(study.predictions["run"] != study.runs["run"].iloc[0], "else")
    odd = dataclasses.replace(study, predictions=study.predictions.assign(cluster=other))
    with pytest.raises(TableError, match="the cluster of example 0 is missing, or differs between"):
        compare_predictions(odd, np.random.default_rng(0))
    second = study.runs.loc[study.runs["recipe"] == "long", "run"]
    split = clusters.where(~study.predictions["run"].isin(second), clusters + "b")
    odd = dataclasses.replace(study, predictions=study.predictions.assign(cluster=split))
    with pytest.raises(TableError, match="differ between the two sides of a comparison"):
        compare_predictions(odd, np.random.default_rng(0))


def test_no_predictions_no_rows():
    study = two_recipes()
    assert compare_predictions(type(study)(study.runs), np.random.default_rng(0)).empty


def test_refusals():
    generator = np.random.default_rng(0)
    a = np.zeros((3, 4))
    with pytest.raises(ValueError, match="a has 4 examples and b 5; both must be scored"):
        multi_bootstrap(a, np.zeros((3, 5)), generator)
    with pytest.raises(ValueError, match=r"different seeds \(3 and 2\); pairs need the same ones"):
        multi_bootstrap(a, np.zeros((2, 4)), generator)
    with pytest.raises(ValueError, match=r"a must hold finite scores .* got \(4,\)"):
        multi_bootstrap(np.zeros(4), a, generator)
    with pytest.raises(ValueError, match=r"seeds_b has the shape \(2,\); allowed: .*\(3,\)"):
        multi_bootstrap(a, a, generator, seeds_b=[1, 2])
    with pytest.raises(ValueError, match=r"clusters has the shape \(3,\); allowed: .*\(4,\)"):
        multi_bootstrap(a, a, generator, clusters=[1, 2, 3])
    with pytest.raises(ValueError, match="all 4 examples are in one cluster, 'x'; allowed: 2"):
        multi_bootstrap(a, a, generator, clusters=["x"] * 4)
    with pytest.raises(ValueError, match="example 2 has no cluster; allowed: a name for every"):
        multi_bootstrap(a, a, generator, clusters=["x", "y", None, "y"])
    with pytest.raises(ValueError, match="resamples is 9; allowed: whole numbers from 100 on"):
        multi_bootstrap(a, a, generator, resamples=9)
    with pytest.raises(ValueError, match="level is 95; allowed"):
        multi_bootstrap(a, a, generator, level=95)
    with pytest.raises(
        ValueError, match="unit is 'seed'; allowed: 'init_seed', 'order_seed', 'run'"
    ):
        compare_predictions(two_recipes(), generator, unit="seed")


def test_rows_and_columns_of_a_grid_are_resampled():
    """The variance of the resampled mean is that of Owen's pigeonhole bootstrap, computed exactly."""
    rng = np.random.default_rng(3)
    cells = np.argwhere(np.ones((4, 3)))
    scores = rng.normal(size=(12, 1)) @ np.ones((1, 2))
    zero = np.zeros_like(scores)
    order = rng.permutation(12)
    found = multi_bootstrap(
        zero[order],
        scores[order],
        np.random.default_rng(0),
        seeds_a=cells[order],
        seeds_b=cells[order],
        resamples=40_000,
    )
    mean = scores.mean()
    # E of a product of two counts of n resampled seeds: 1 - 1/n, and 1 more for the same seed.
    x = scores[:, 0].reshape(4, 3)
    rows, columns = (1 - 1 / n + np.eye(n) for n in x.shape)
    variance = (rows @ x @ columns * x).sum() / 144 - mean**2
    width = found.upper - found.lower
    # The width is within 4 % of a normal one; its own error over 40,000 resamples is 1 %.
    assert width == pytest.approx(2 * 1.96 * variance**0.5, rel=0.06)
    assert found.difference == pytest.approx(mean)
    with pytest.raises(ValueError, match="11 cells that fill no grid of at least 2 x 2"):
        multi_bootstrap(zero[:11], scores[:11], rng, seeds_a=cells[:11], seeds_b=cells[:11])


def test_recipes_on_one_grid_are_compared_by_rows_and_columns():
    study = two_recipes()
    within = np.tile(np.arange(5), 2)
    cells = {"init_seed": within // 2, "order_seed": within % 2}
    whole = dataclasses.replace(study, runs=study.runs.assign(**cells)[within < 4])
    for part, unit, n in ((whole, "grid", 4), (study, "init_seed", 5)):
        row = compare_predictions(part, np.random.default_rng(0), unit="grid").iloc[0]
        assert (row["unit"], row["n_seeds_a"], row["paired"]) == (unit, n, True)
