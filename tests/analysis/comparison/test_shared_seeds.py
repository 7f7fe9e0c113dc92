"""Disagreement of runs that share a seed, against loops over pairs and over left-out seeds."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from analysis.comparison import shared_seeds
from analysis.comparison.consistency import ALL, GOOD
from analysis.comparison.instability import pairwise_disagreement
from analysis.comparison.shared_seeds import disagreement_by_seeds, shared_seed_table
from analysis.data.predictions import Predictions, predictions_of
from tests.suites.made_studies import with_predictions


def grid(a=4, b=3, examples=30, kinds=3, init=1.0, order=0.0, seed=0):
    """Predictions of a grid; each seed moves those of all its runs."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((a, b, examples, kinds))
    logits += init * generator.standard_normal((a, 1, examples, kinds))
    logits += order * generator.standard_normal((1, b, examples, kinds))
    flat = logits.reshape(a * b, examples, kinds)
    return with_seeds(flat, *np.divmod(np.arange(a * b), b))


def with_seeds(logits, init, order):
    runs = pd.DataFrame({"init_seed": init, "order_seed": order, "failed": False})
    names = np.arange(logits.shape[1]).astype(object)
    return Predictions(runs, names, np.zeros(len(names)), logits)


def by_loop(found, keep=lambda init, order: True):
    """Mean disagreement of every kind of pairs, over the runs whose seeds are kept."""
    seeds = list(zip(found.runs["init_seed"], found.runs["order_seed"], strict=True))
    values = {name: [] for name in shared_seeds.SHARED}
    for r, s in itertools.combinations(range(len(seeds)), 2):
        if not (keep(*seeds[r]) and keep(*seeds[s])):
            continue
        same = [x == y for x, y in zip(seeds[r], seeds[s], strict=True)]
        kind = {(0, 0): "no seed", (1, 0): "init seed", (0, 1): "order seed", (1, 1): "both seeds"}
        if found.is_classification:
            apart = np.mean(found.classes[r] != found.classes[s])
        else:
            apart = np.mean(np.abs(found.logits[r, :, 0] - found.logits[s, :, 0]))
        values[kind[tuple(map(int, same))]].append(apart)
    return {name: np.mean(part) for name, part in values.items() if part}


@pytest.mark.parametrize("kinds", [3, 1])
def test_means_and_jackknife_by_brute_force(kinds, monkeypatch):
    monkeypatch.setattr(shared_seeds, "BLOCK_PAIRS", 30)  # several blocks
    found = grid(kinds=kinds)
    table = shared_seed_table(found).set_index("shared")
    whole = by_loop(found)
    assert table["disagreement"].to_dict() == pytest.approx(whole)
    assert table["n_pairs"].to_dict() == {"no seed": 36, "init seed": 12, "order seed": 18}
    error = 0.0
    for place, size in ((0, 4), (1, 3)):
        left = []
        for seed in range(size):
            part = by_loop(found, lambda *seeds, p=place, s=seed: seeds[p] != s)
            left.append(part["init seed"] - part["no seed"])
        error += (size - 1) / size * np.sum((np.array(left) - np.mean(left)) ** 2)
    width = student.ppf(0.975, 2) * error**0.5
    row = table.loc["init seed"]
    assert row["difference"] == pytest.approx(whole["init seed"] - whole["no seed"])
    assert row["difference_upper"] - row["difference"] == pytest.approx(width)
    assert row["difference"] - row["difference_lower"] == pytest.approx(width)


def test_the_pairs_together_have_the_disagreement_of_all():
    logits = np.random.default_rng(3).standard_normal((6, 20, 2))
    study = with_predictions(logits, np.zeros(20, dtype=int))
    table = disagreement_by_seeds(study)  # six init seeds, one order seed
    assert table["shared"].tolist() == ["order seed"]
    assert table["disagreement"].iloc[0] == pytest.approx(
        pairwise_disagreement(predictions_of(study).classes)
    )


def test_runs_that_failed_are_told_apart():
    found = grid()
    found.runs.loc[[0, 5], "failed"] = True
    table = shared_seed_table(found)
    assert table["of"].unique().tolist() == [ALL, GOOD]
    good = table.loc[table["of"] == GOOD].set_index("shared")
    assert good["disagreement"].to_dict() == pytest.approx(by_loop(found.good()))
    assert good["n_runs"].unique().tolist() == [10]


def test_repeats_share_both_seeds():
    logits = np.random.default_rng(0).standard_normal((6, 10, 2))
    found = with_seeds(logits, [0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 1])
    table = shared_seed_table(found).set_index("shared")
    assert table["disagreement"].to_dict() == pytest.approx(by_loop(found))
    assert table.loc["both seeds", "n_pairs"] == 2


def test_seeds_that_move_together_are_one_jackknife():
    logits = np.random.default_rng(1).standard_normal((5, 20, 2))
    both = with_seeds(logits, range(5), range(5))
    one = with_seeds(logits, range(5), [0] * 5)
    together, single = (shared_seed_table(found).iloc[0] for found in (both, one))
    assert (together["shared"], single["shared"]) == ("no seed", "order seed")
    assert together["upper"] == pytest.approx(single["upper"])


def test_two_by_two_seeds_have_no_interval():
    table = shared_seed_table(grid(a=2, b=2))
    assert table["disagreement"].notna().all()
    assert table[["lower", "upper"]].isna().all(axis=None)


@pytest.mark.slow
@pytest.mark.stat
@pytest.mark.parametrize(("init", "order"), [(0, 0), (0.5, 0), (1, 1)])
def test_intervals_of_differences_cover(init, order):
    """200 grids of 5 x 5. With a true coverage of .95, fewer than 175 hits have a probability
    below 1e-4; where no seed matters, more than 25 intervals without 0 have one below 1e-4.
    Where the init seed matters half of them or more exclude 0: fewer than 73 of 200 have one
    below 1e-4."""

    def difference(a, b, seed):
        table = shared_seed_table(grid(a, b, 60, 2, init, order, seed))
        return table.set_index("shared").loc["init seed"]

    truth = np.mean([difference(20, 20, 9000 + seed)["difference"] for seed in range(10)])
    rows = [difference(5, 5, seed) for seed in range(200)]
    hits = sum(row["difference_lower"] <= truth <= row["difference_upper"] for row in rows)
    assert hits >= 175
    found = sum(row["difference_upper"] < 0 for row in rows)
    assert found <= 25 if init == 0 else found >= 73
