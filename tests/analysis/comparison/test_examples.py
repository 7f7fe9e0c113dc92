"""Texts and clusters of examples come from a table, which must fit the predictions."""

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.examples import read_examples, with_examples
from analysis.data.predictions import predictions_of
from analysis.data.study import Study, concat_studies
from analysis.errors import TableError
from tests.suites.made_studies import with_predictions

LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def study():
    logits = np.random.default_rng(0).standard_normal((3, 4, 2))
    return with_predictions(logits, LABELS)


def about(**columns):
    frame = pd.DataFrame({"example": [2, 0, 1, 3], "cluster": ["b", "a", "a", "b"]})
    return frame.assign(**columns)


def test_rows_are_joined_by_their_number(study, tmp_path):
    text = ["two", " zero\nand more", "o\u202ene", None]
    path = tmp_path / "examples.csv"
    about(text=text, pair=["x", None, "y", "z"], label=LABELS[[2, 0, 1, 3]], note=1).to_csv(
        path, index=False
    )
    joined = read_examples(path, study)
    found = predictions_of(joined)
    assert found.clusters.tolist() == ["a", "a", "b", "b"]
    assert found.texts.tolist() == ["zero and more", "o ne | y", "two | x", "z"]
    assert (found.logits == predictions_of(study).logits).all()
    again = with_examples(joined, about(cluster=list("xyxy")))
    assert predictions_of(again).clusters.tolist() == ["y", "x", "x", "y"]
    assert "cluster" not in study.predictions


def test_tasks_are_told_apart(study):
    other = with_predictions(np.zeros((2, 4, 2)), LABELS)
    other = Study(other.runs.assign(task="u"), predictions=other.predictions)
    both = concat_studies([study, other])
    with pytest.raises(TableError, match="'task' is missing, and there are predictions of 2 tasks"):
        with_examples(both, about())
    joined = with_examples(both, about(task="u"))
    assert predictions_of(joined.subset(task="t")).clusters is None
    assert predictions_of(joined.subset(task="u")).clusters.tolist() == ["a", "a", "b", "b"]
    with pytest.raises(TableError, match="row 1, column 'task': no run with predictions has this"):
        with_examples(both, about(task="v"))


def test_rows_of_other_splits_are_passed_over(study):
    runs = Study(study.runs.assign(split="dev"), predictions=study.predictions)
    several = pd.concat([about(split="train", cluster="c"), about(split="dev")])
    assert predictions_of(with_examples(runs, several)).clusters.tolist() == ["a", "a", "b", "b"]
    with pytest.raises(TableError, match="no row is of the split that was predicted; allowed: dev"):
        with_examples(runs, about(split="train"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (about().drop(columns="example"), "the column 'example' is missing"),
        (about().drop(columns="cluster"), "neither the column 'cluster' nor 'text' is there"),
        (about(example=[0, 0, 1, 2]), "row 2, a second row for the same example; keep one"),
        (about(example=[0, 1, 2, 9]), "row 4, .* not predicted; t has predictions of 4 .* 0 to 3"),
        (
            about().iloc[:3],
            "1 of the 4 predicted examples of t have no row, the first is example 3",
        ),
        (about(cluster=["a", None, "a", "b"]), "row 2, column 'cluster': .* missing"),
        (about(cluster="a"), "t: all 4 examples are in one cluster, 'a'; allowed: 2"),
        (about(label=[1, 1, 1, 0]), "row 2, column 'label': the predictions have another label"),
        (about(example=[0.5, 1, 2, 3]), "row 1, column 'example': 0.5 is not an integer"),
    ],
)
def test_refusals(study, frame, message):
    with pytest.raises(TableError, match=message):
        with_examples(study, frame)


def test_scores_alone_have_no_examples(study):
    with pytest.raises(TableError, match="belong to predictions, and there are none"):
        with_examples(Study(study.runs), about())
