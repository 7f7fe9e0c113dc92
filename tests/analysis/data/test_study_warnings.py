import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import Group, concat_studies
from analysis.data.warnings import study_warnings
from tests.suites.made_grids import grid_frame


def frame(a=10, b=10, **columns):
    return grid_frame(np.linspace(0.5, 0.9, a * b).reshape(a, b), **({"task": "t"} | columns))


def rules(study, **options):
    return [finding.rule for finding in study_warnings(study, **options)]


def read(table, majority=0.1):
    return read_table(table, majority=majority)


def test_a_sound_study_has_no_findings():
    assert rules(read(frame())) == []


def test_each_rule_fires_on_a_minimal_study():
    assert rules(read(frame(1, 1))) == ["one seed"]
    assert rules(read(frame(1, 10))) == ["one seed"]
    assert rules(read(frame(9, 10))) == ["few levels"]
    assert rules(read(frame().iloc[1:])) == ["incomplete grid"]
    assert rules(read(frame(), majority=None)) == ["unjudged failures"]
    stopped = frame().assign(status=["stopped"] + ["finished"] * 99)
    assert rules(read(stopped)) == ["incomplete grid", "stopped runs"]


def test_seeds_that_move_together_are_no_grid_with_missing_cells():
    """By the data: a single seed, equal seeds, or one order seed for every init seed."""
    seed = pd.DataFrame({"task": "t", "seed": range(3), "score": [0.5, 0.6, 0.7]})
    equal = seed.rename(columns={"seed": "init_seed"}).assign(order_seed=range(3))
    for table in (seed, equal, equal.assign(order_seed=[7, 9, 8])):
        assert rules(read(table)) == ["seeds move together"]
    assert rules(read(equal.assign(order_seed=[0, 1, 1]))) == ["few levels"] * 2 + [
        "incomplete grid"
    ]
    assert rules(read(seed.iloc[:1])) == ["one seed"]


@pytest.mark.parametrize(("dev", "train", "warned"), [(0, 0.04, 0), (0.05, 0, 1), (0.01, 0.62, 1)])
def test_texts_of_unknown_words(dev, train, warned):
    study = read(frame().assign(unknown_tokens=dev, unknown_tokens_train=train))
    found = [w for w in study_warnings(study) if w.rule == "unknown tokens"]
    assert len(found) == warned
    if warned:
        told = (
            f"{dev:.0%} of the validation tokens and {train:.0%} of the training tokens are unknown"
        )
        assert found[0].message.startswith(told)
    # Of an earlier release: the share was not counted.
    assert rules(read(frame().assign(unknown_tokens=np.nan, unknown_tokens_train=np.nan))) == []


def test_selection_on_the_reported_split():
    low = frame(recipe="r")
    both = pd.concat([low.assign(fraction=0.5), low.assign(fraction=1.0, score=low["score"] - 0.1)])
    assert rules(read(both)) == ["same split"]
    assert rules(read(both.assign(test_score=0.5))) == []
    assert rules(read(both.assign(score=0.7))) == []
    # The weights of the best evaluation were kept, so the final score is that of a choice too.
    (found,) = study_warnings(read(both.assign(score=0.7, keep="best")))
    assert found.rule == "same split"
    assert found.message.endswith("it is optimistic. Report a held-out split.")


def test_bands_beyond_their_limit():
    key = Group("t", "unspecified", "default")
    assert rules(read(frame()), informative={key: 3}) == ["band beyond limit"]
    assert rules(read(frame()), informative={key: 3}, drawn={key: 3}) == []
    (finding,) = study_warnings(read(frame()), informative={key: 3})
    assert "n = 3, but was requested up to n = 100" in finding.message
    assert finding.group == key


def test_single_scores_beside_samples_and_unequal_samples():
    alone = read(frame(1, 1, recipe="published"))
    full = read(frame(recipe="ours"))
    found = study_warnings(concat_studies([full, alone]))
    assert [f.rule for f in found] == ["one seed", "best against mean"]
    assert "published" in found[1].message
    assert found[1].group is None
    half = read(frame(10, 5, recipe="half"))
    assert rules(concat_studies([full, half])) == ["few levels", "unequal runs"]
    # Other tasks are another comparison.
    assert rules(concat_studies([full, read(frame(1, 1, task="u"))])) == ["one seed"]


def test_a_share_that_the_data_hardly_determine():
    key = Group("t", "unspecified", "default")
    wide = {"init": (0.05, 0.6), "order": (0.0, 0.5)}
    (finding,) = study_warnings(read(frame()), shares={key: wide})
    assert finding.rule == "wide interval"
    assert "share of init goes from 0.05 to 0.60" in finding.message
    unknown = {"init": (float("nan"), float("nan"))}
    assert rules(read(frame()), shares={key: unknown}) == []


@pytest.mark.parametrize("change", ["rows", "scores"])
def test_findings_do_not_depend_on_results(change):
    table = frame(3, 4)
    other = table.sample(frac=1, random_state=1) if change == "rows" else table.assign(score=0.6)
    assert rules(read(table)) == rules(read(other)) == ["few levels", "few levels"]


def test_runs_without_a_test_score_are_counted():
    tested = frame().assign(test_score=0.5)
    tested.loc[0:2, "test_score"] = None
    first, second = study_warnings(read_table(tested, majority=0.506, score="test"))[-2:]
    assert first.rule == "test scores"
    assert "early stopping, final scores beside training losses, and pred" in first.message
    assert second.message == (
        "on t, default (unspecified): 3 of 100 runs have no test score (2 failed). Without failed runs "
        "the scores look too good; give their scores. They are left out of all estimates."
    )
    (only,) = [w for w in study_warnings(read(tested)) if w.rule == "no test score"]
    assert only.message.endswith("no test score. They are left out of the price of choosing.")
    assert "no test score" not in rules(read(tested.assign(test_score=None)))
