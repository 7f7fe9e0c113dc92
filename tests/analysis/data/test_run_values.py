"""Values that no run can have are refused with their row, their column and the remedy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.data.exported import read_study
from analysis.data.score_table import read_table
from analysis.errors import OptionError, TableError
from tests.analysis.data.test_score_table_input import long_rows, rows

LARGEST = 2**63 - 1


def seeds_of(*texts):
    return rows(init_seed=[*texts, *(str(i) for i in range(100, 104 - len(texts)))])


REFUSED = [
    (seeds_of(str(2**63)), r"row 1, column 'init_seed': '9223372036854775808' is too large to be"),
    (seeds_of(str(2**64), "-1"), r"row 2, column 'init_seed': '-1' is below 0; allowed: integers"),
    (seeds_of("7", "-3"), r"row 2, column 'init_seed': '-3' is below 0; .* from 0 to 9223372036"),
    (seeds_of("1.5"), r"row 1, column 'init_seed': '1.5' is not an integer"),
    (seeds_of(str(2**53 + 1), "0.0"), r"row 1, column 'init_seed': .* is too large to be exact"),
    (seeds_of("9" * 6000), r"row 1, column 'init_seed': '9{59}\.\.\. is not an integer"),
    (rows(init_seed=[2.0**60, 0.0, 1.0, 1.0]), r"row 1, column 'init_seed': .* too large"),
    (rows(dropout_seed=[0, 0, -1, 0]), r"row 3, column 'dropout_seed': .*-1.* is below 0"),
    (rows(n_examples=[10, 0, 10, 10]), r"row 2, column 'n_examples': .*0.* is no number of exam"),
    (rows(n_examples=[-5] * 4), r"row 1, column 'n_examples': -5 is no .*whole numbers from 1 on"),
    (rows(n_examples=["10", "10", "10.5", "10"]), r"row 3, column 'n_examples': '10.5' is no num"),
    (rows(n_examples=["10", "inf", "10", "10"]), r"row 2, column 'n_examples': 'inf' is not fin"),
    (rows(n_examples=[10, 10, 12, 10]), r"row 3, column 'n_examples': 12.0 differs from 10.0"),
    (rows(majority=[np.inf] * 4), r"row 1, column 'majority': inf is not finite"),
    (rows(majority=[0.5, 0.5, 0.6, 0.5]), r"row 3, column 'majority': 0.6 differs from 0.5 in an"),
    (
        long_rows().assign(majority=[0.5] * 7 + [0.6]),
        r"row 8, column 'majority': 0.6 differs from 0.5 .*task or recipe of their own",
    ),
    (
        rows(higher_is_better=[True, True, False, True]),
        r"row 3, column 'higher_is_better': False differs from True",
    ),
    (rows(status=["finished"] * 3 + ["exploded"]), r"row 4, column 'status': 'exploded' is no st"),
    (rows(status=["Finished"] * 4), r"'Finished' is no status; .*Did you mean 'finished'\?"),
    (
        rows(best_score=[0.5, 0.6, 0.6, 0.7], final_score=[0.5, 0.7, 0.6, 0.65]),
        r"row 2, column 'best_score': 0.6 is worse than the final score 0.7 \(higher is better\)",
    ),
    (
        rows(best_score=0.7, final_score=[0.7, 0.8, 0.6, 0.8], higher_is_better=False),
        r"row 3, column 'best_score': 0.7 is worse than the final score 0.6 \(lower is better\)",
    ),
    (rows(score=[0.5, 1e308, 0.6, 0.7]), r"row 2, column 'score': 1e\+308 is too large"),
    (long_rows().drop(columns="fraction").assign(step=-5), r"row 1, column 'step': -5 is below 0"),
]


@pytest.mark.parametrize(("frame", "message"), REFUSED)
def test_impossible_values_are_refused(frame, message):
    with pytest.raises(TableError, match=message):
        read_table(frame)


def test_a_direction_is_given_once_or_twice_alike():
    lower = rows(higher_is_better=False)
    assert not read_table(lower, higher_is_better=False).runs["higher_is_better"].any()
    with pytest.raises(TableError, match=r"row 1, column 'higher_is_better' is true, but .*lower"):
        read_table(rows(higher_is_better=True), higher_is_better=False)


@pytest.mark.parametrize("majority", [np.inf, np.nan, {"rte": -np.inf}, 1e300])
def test_a_majority_option_is_finite(majority):
    with pytest.raises(OptionError, match=r"majority.* is .*; allowed: a finite number"):
        read_table(rows(), majority=majority)


def test_possible_values_stay_as_they_are():
    """Groups of their own have values of their own; a diverged run may end above its best."""
    two = pd.concat([rows(recipe=r, majority=m) for r, m in (("a", 0.5), ("b", None))])
    assert read_table(two).runs["majority"].tolist()[:4] == [0.5] * 4
    ended = rows(
        status=["diverged"] + ["finished"] * 3,
        best_score=[0.4, 0.7, 0.6, 0.65],
        final_score=[0.5, 0.7, 0.6 + 1e-12, 0.65],
    )
    assert read_table(ended, majority=0.5).runs["best_score"].iloc[0] == 0.4
    assert read_table(rows(n_examples="277.0")).runs["n_examples"].tolist() == [277.0] * 4


@settings(max_examples=20, deadline=None)
@given(st.integers(-(2**70), 2**70), st.sampled_from(["text", "number"]))
def test_a_seed_is_exact_or_refused(seed, kind):
    values = [seed, 1, 2, 3] if kind == "number" else [str(seed), "1", "2", "3"]
    frame = rows(order_seed=pd.Series(values, dtype="object"), init_seed=0)
    if 0 <= seed <= LARGEST and seed not in (1, 2, 3):
        assert read_table(frame).runs["order_seed"].tolist() == [seed, 1, 2, 3]
    else:
        with pytest.raises(TableError, match=r"order_seed"):
            read_table(frame)


@settings(max_examples=15, deadline=None)
@given(st.floats())
def test_a_number_of_examples_is_a_count_or_refused(number):
    frame = rows(n_examples=number)
    if np.isnan(number):
        assert read_table(frame).runs["n_examples"].isna().all()
    elif 1 <= number < np.inf and number == int(number):
        assert (read_table(frame).runs["n_examples"] == number).all()
    else:
        with pytest.raises(TableError, match="row 1, column 'n_examples'"):
            read_table(frame)


EXPORTED = {
    "init_seed": (str(2**63), "'init_seed': .* is too large"),
    "order_seed": ("-1", "'order_seed': '-1' is below 0"),
    "dropout_seed": ("0.5", "'dropout_seed': '0.5' is not an integer"),
    "status": ("exploded", "'status': 'exploded' is no status"),
    "majority": ("inf", "'majority': 'inf' is not finite"),
    "n_examples": ("10.5", "'n_examples': '10.5' is no number of examples"),
    "best_score": ("0.1", "'best_score': 0.1 is worse than the final score 0.6"),
    "final_score": ("1e308", "'final_score': 1e\\+308 is too large"),
    "direction": ("min", "'direction': min differs from max"),
}


@pytest.mark.parametrize("column", EXPORTED)
def test_exported_tables_are_checked_as_well(tmp_path, column):
    value, message = EXPORTED[column]
    frame = rows(run=list("abcd"), status="finished", metric="accuracy", direction="max")
    frame = frame.drop(columns="score").assign(
        dropout_seed=0, final_score=0.6, best_score=0.7, majority=0.5, n_examples=100
    )
    text = frame.astype("str")
    text.loc[2, column] = value
    (tmp_path / "schema.json").write_text('{"schema_version": 1}')
    text.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(TableError, match=f"row 3, column {message}"):
        read_study(tmp_path)
