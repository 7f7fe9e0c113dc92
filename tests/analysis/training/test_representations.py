"""CKA, SVCCA and Procrustes against definitions written out, and their invariances."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.data.study import Study
from analysis.errors import TableError
from analysis.training.representations import arrange, linear_cka, procrustes_distance, svcca
from analysis.training.run_similarity import KINDS, run_similarity, similarity_by_kind
from tests.suites.made_studies import plain

MEASURES = {
    "cka": (linear_cka, 1.0),
    "plain": (lambda x, y: linear_cka(x, y, unbiased=False), 1.0),
    "svcca": (svcca, 1.0),
    "procrustes": (procrustes_distance, 0.0),
}


def random_pair(seed, n=20, p=6, q=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=(n, q))


def rotation(size, rng):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("name", MEASURES)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_rotation_scale_and_shift_change_nothing(name, seed, scale):
    measure, same = MEASURES[name]
    x, y = random_pair(seed)
    rng = np.random.default_rng(seed + 1)
    turned = scale * (x @ rotation(6, rng)) + rng.normal(size=6)
    # Sums of 120 products in double precision.
    assert measure(x, turned) == pytest.approx(same, abs=1e-7)
    assert measure(turned, y) == pytest.approx(measure(x, y), rel=1e-6, abs=1e-9)
    assert measure(y, x) == pytest.approx(measure(x, y), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_unbiased_cka_is_the_average_over_distinct_quadruples(seed):
    """Song et al. 2012, equation 4: HSIC as a U-statistic over four different examples."""
    from itertools import permutations

    x, y = random_pair(seed, n=7, p=3, q=2)

    def hsic(k, m):
        total = [
            k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(7), 4)
        ]
        return np.mean(total)

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_plain_cka_is_the_published_formula():
    """Kornblith et al. 2019: ||Y'X||^2 / (||X'X|| ||Y'Y||) for centred features."""
    x, y = random_pair(4, p=5, q=8)
    a, b = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    expected = np.linalg.norm(b.T @ a) ** 2 / norms
    assert linear_cka(x, y, unbiased=False) == pytest.approx(expected, rel=1e-12)


def test_unbiased_cka_of_independent_features_is_0_in_the_mean_and_plain_is_not():
    values = [
        (linear_cka(*pair), linear_cka(*pair, unbiased=False))
        for pair in (random_pair(seed, n=12, p=30, q=30) for seed in range(200))
    ]
    unbiased, biased = np.mean(values, axis=0)
    error = np.std([v for v, _ in values]) / np.sqrt(200)
    # Four standard errors: a false alarm once in 16,000 choices of seeds.
    assert abs(unbiased) < 4 * error
    assert biased > 0.5


def test_procrustes_is_what_is_left_after_scipys_best_rotation():
    x, y = random_pair(1)
    a, b = (part - part.mean(0) for part in (x, y))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    best, _ = scipy.linalg.orthogonal_procrustes(a, b)
    assert procrustes_distance(x, y) == pytest.approx(np.linalg.norm(a @ best - b) ** 2, rel=1e-9)


def test_svcca_is_the_mean_canonical_correlation():
    """Without truncation: the cosines of the angles between the column spaces."""
    x, y = random_pair(2, n=40, p=4, q=7)
    spaces = [part - part.mean(0) for part in (x, y)]
    cosines = np.cos(scipy.linalg.subspace_angles(*spaces))
    assert svcca(x, y, variance=1.0) == pytest.approx(cosines.mean(), rel=1e-9)


def test_svcca_drops_what_holds_no_variance():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(50, 2))
    x, y = (np.column_stack([signal, 0.01 * rng.normal(size=(50, 5))]) for _ in range(2))
    assert svcca(x, y) == pytest.approx(1.0, abs=1e-3)
    assert svcca(x, y, variance=1.0) < 0.8


def test_unrelated_directions_are_as_far_apart_as_can_be():
    x = np.zeros((6, 1))
    y = np.zeros((6, 1))
    x[:2, 0], y[2:4, 0] = [1, -1], [1, -1]
    assert procrustes_distance(x, y) == pytest.approx(2.0)
    assert linear_cka(x, y, unbiased=False) == pytest.approx(0.0, abs=1e-12)
    assert svcca(x, y) == pytest.approx(0.0, abs=1e-12)


def test_examples_that_are_all_alike_have_no_similarity():
    """As the first token of the embeddings, which is the same in every text."""
    x, y = random_pair(3)
    alike = np.repeat(np.float32(np.linspace(-1, 1, 6))[None], 20, axis=0)
    for measure, _ in MEASURES.values():
        assert np.isnan(measure(alike, y))
        assert np.isnan(measure(x, alike))


def test_bad_input_is_refused():
    x, _ = random_pair(0)
    with pytest.raises(ValueError, match=r"shape \(20,\); it must be \(example, feature\)"):
        arrange(x[:, 0])
    with pytest.raises(ValueError, match=r"not finite"):
        svcca(np.full((4, 2), np.nan), np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"of 20 and 5 examples"):
        procrustes_distance(x, x[:5])
    with pytest.raises(ValueError, match=r"needs four examples and there are 3"):
        linear_cka(x[:3], x[:3])
    with pytest.raises(ValueError, match=r"variance is 0"):
        svcca(x, x, variance=0.0)


def studied(shared=0.9):
    """Nine runs: those of one init seed share most of their second layer."""
    study = plain(3, 3, majority=0.5)
    rng = np.random.default_rng(1)
    of_init = rng.normal(size=(3, 12, 4))
    rows = []
    for run in study.runs.itertuples():
        own = rng.normal(size=(12, 4))
        layers = (np.ones((12, 4)), shared * of_init[run.init_seed] + (1 - shared) * own)
        rows += [
            (run.run, depth, example, values)
            for depth, layer in enumerate(layers)
            for example, values in enumerate(layer)
        ]
    tokens = pd.DataFrame(rows, columns=["run", "depth", "example", "values"])
    return Study(study.runs, representations=tokens)


def test_pairs_are_told_by_what_they_share():
    study = studied()
    table = run_similarity(study)
    assert len(table) == 2 * 36
    at = table.loc[table["depth"] == 1]
    assert at["kind"].value_counts().to_dict() == {KINDS[0]: 9, KINDS[1]: 9, KINDS[2]: 18}
    # The embeddings are the same for every example: nothing can be said of them.
    assert table.loc[table["depth"] == 0, "cka"].isna().all()
    summary = similarity_by_kind(table)
    assert set(summary["depth"]) == {1}
    cka = summary.loc[summary["measure"] == "cka"].set_index("kind")
    values = at.loc[at["kind"] == KINDS[0], "cka"]
    assert cka.loc[KINDS[0], "median"] == pytest.approx(values.median())
    assert cka.loc[KINDS[0], ["lower", "upper"]].tolist() == [values.min(), values.max()]
    assert cka.loc[KINDS[0], "lower"] > 0.9 > 0.5 > cka.loc[KINDS[2], "upper"]
    apart = summary.loc[summary["measure"] == "procrustes"].set_index("kind")["median"]
    assert apart[KINDS[0]] < apart[KINDS[1]]


def test_failed_runs_are_a_kind_of_their_own_and_broken_ones_are_left_out():
    study = studied()
    runs = study.runs.copy()
    runs.loc[[0, 1], "failed"] = True
    tokens = study.representations.copy()
    tokens.loc[tokens["run"] == runs.loc[8, "run"], "values"] = pd.Series(
        [np.full(4, np.nan)] * len(tokens)
    )
    at = run_similarity(Study(runs, representations=tokens)).query("depth == 1")
    assert runs.loc[8, "run"] not in {*at["run_a"], *at["run_b"]}
    counts = at["kind"].value_counts()
    assert counts["both failed"] == 1
    assert counts["one of two failed"] == 12
    assert len(at) == 28


def test_few_runs_stand_for_many():
    study = studied()
    table = run_similarity(study, most_runs=4)
    ranked = study.runs.sort_values("final_score", kind="stable")["run"].tolist()
    assert {*table["run_a"], *table["run_b"]} == {ranked[k] for k in (0, 3, 5, 8)}


def test_what_cannot_be_compared_is_said():
    study = studied()
    with pytest.raises(TableError, match=r"no representations were recorded; train with diagn"):
        run_similarity(plain())
    one = study.representations.loc[study.representations["run"] == study.runs.loc[0, "run"]]
    with pytest.raises(TableError, match=r"of 1 complete runs were recorded"):
        run_similarity(Study(study.runs, representations=one))
    few = study.representations.query("example < 3")
    with pytest.raises(TableError, match=r"of 3 examples were recorded; .* at least 4"):
        run_similarity(Study(study.runs, representations=few))
