import json

import numpy as np
import pandas as pd
import pytest

from analysis.data.score_table import read_table
from analysis.data.study import concat_studies
from analysis.errors import OptionError, TableError
from analysis.table_file import read_frame


def rows(**columns):
    base = {
        "task": ["rte"] * 4,
        "init_seed": [0, 0, 1, 1],
        "order_seed": [0, 1, 0, 1],
        "score": [0.5, 0.7, 0.6, 0.65],
    }
    return pd.DataFrame(base | columns)


def long_rows():
    frame = rows(score=[0.5] * 4, run=["a", "b", "c", "d"]).loc[[0, 1, 2, 3, 0, 1, 2, 3]]
    frame["fraction"] = [0.5] * 4 + [1.0] * 4
    frame["score"] = [0.6, 0.5, 0.55, 0.6, 0.5, 0.7, 0.6, 0.65]
    return frame.reset_index(drop=True)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_the_same_study_from_every_kind_of_file(tmp_path, kind):
    frame = rows(extra=["x", "y", "z", "w"])
    path = tmp_path / f"scores.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    study = read_table(path, metric="accuracy", majority=0.527)
    expected = read_table(frame, metric="accuracy", majority=0.527)
    pd.testing.assert_frame_equal(study.runs, expected.runs, check_dtype=False)
    assert study.runs["failed"].tolist() == [True, False, False, False]
    assert study.runs["init_seed"].dtype == np.int64
    assert study.runs["extra"].tolist() == ["x", "y", "z", "w"]
    assert set(study.runs["metric"]) == {"accuracy"}
    assert study.curves is None


def test_large_seeds_stay_exact():
    seed = 2**62 + 1
    text = rows().astype("str")
    text["init_seed"] = [str(seed)] * 2 + ["0"] * 2
    assert read_table(text).runs["init_seed"].tolist() == [seed, seed, 0, 0]


@pytest.mark.parametrize(
    ("higher", "majority", "failed"),
    [
        (True, 0.6, [True, False, True, False]),
        (False, 0.6, [False, True, True, True]),
        (True, None, [False] * 4),
    ],
)
def test_failure_is_not_beating_the_majority_in_the_metrics_direction(higher, majority, failed):
    study = read_table(rows(), higher_is_better=higher, majority=majority)
    assert study.runs["failed"].tolist() == failed


def test_failed_column_overrides_the_rule_and_gaps_are_judged():
    study = read_table(rows(failed=["no", "yes", None, ""]), majority=0.6)
    assert study.runs["failed"].tolist() == [False, True, True, False]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_diverged_run_stands_at_chance_and_has_failed(status):
    study = read_table(
        rows(score=[np.nan, 0.7, 0.6, 0.65], status=[status] + ["finished"] * 3),
        majority={"rte": 0.527},
    )
    run = study.runs.iloc[0]
    assert run["score"] == run["final_score"] == 0.527
    assert run["failed"]
    assert run["diverged"]
    assert not study.runs["diverged"].iloc[1:].any()


def test_stopped_runs_are_kept_but_enter_no_estimate():
    study = read_table(
        rows(score=[np.nan, 0.7, 0.6, 0.5], status=["running", "finished", "finished", "stopped"]),
        majority=0.527,
    )
    assert len(study.runs) == 4
    assert study.complete_runs()["score"].tolist() == [0.7, 0.6]
    assert study.incomplete_runs()["status"].tolist() == ["running", "stopped"]
    # Stopped below the majority, yet it did not fail: it had no chance to end well.
    assert not study.runs["failed"].any()
    grid = study.grid()
    assert grid.loc[0, 1] == 0.7
    assert grid.isna().to_numpy().tolist() == [[True, False], [False, True]]
    assert grid.shape == (2, 2)


def test_long_form_carries_curves():
    study = read_table(long_rows(), majority=0.527)
    assert study.runs["final_score"].tolist() == [0.5, 0.7, 0.6, 0.65]
    assert study.runs["best_score"].tolist() == [0.6, 0.7, 0.6, 0.65]
    assert study.runs["score"].tolist() == [0.6, 0.7, 0.6, 0.65]
    assert study.runs["failed"].tolist() == [True, False, False, False]
    assert study.curves is not None
    assert study.curves.columns.tolist() == ["run", "fraction", "epoch", "step", "score"]
    assert study.curves["fraction"].tolist() == [0.5, 1.0] * 4


def test_an_evaluation_at_the_start_is_in_the_curve_and_never_the_score():
    start = long_rows().iloc[:4].assign(fraction=0.0, score=[0.9, 0.1, 0.1, 0.1])
    study = read_table(pd.concat([start, long_rows()]), majority=0.527)
    assert study.runs["score"].tolist() == [0.6, 0.7, 0.6, 0.65]
    assert study.runs["best_score"].iloc[0] == 0.9
    assert study.curves["score"].max() == 0.9
    only = pd.concat([start.iloc[:1], long_rows().iloc[[1, 5]]])
    with pytest.raises(TableError, match=r"row 1, the run has no evaluation after fraction 0"):
        read_table(only, majority=0.527)


def test_a_single_seed_is_both_seeds():
    frame = pd.DataFrame({"task": "rte", "seed": [13, 42], "score": [0.6, 0.7], "lr": 2e-5})
    runs = read_table(frame).runs
    assert runs["init_seed"].tolist() == runs["order_seed"].tolist() == [13, 42]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"seed": [1, 2], "init_seed": [1, 2]},
            r"the columns 'seed' and 'init_seed' are both there",
        ),
        (
            {"seed": [1, 2], "init_seed": [1, 2], "order_seed": [1, 2]},
            r"'seed' and 'init_seed' and 'order_seed' are both there; allowed: 'init_seed' and "
            r"'order_seed', or 'seed' alone",
        ),
        ({}, r"there is no column of seeds\. It holds: task, score\. Name them 'init_seed' and"),
        ({"init_seed": [1, 2]}, r"the column 'order_seed' is missing"),
        ({"seed": [1, 1.5]}, r"row 2, column 'seed': .*1\.5\)? is not an integer"),
        ({"seed": [1, 1]}, r"both the cell .*seed=1; allowed is one run .*in the column 'recipe'"),
    ],
)
def test_seeds_that_are_not_named_or_named_twice_are_refused(columns, message):
    with pytest.raises(TableError, match=message):
        read_table(pd.DataFrame({"task": "rte", "score": [0.6, 0.7], **columns}))


def test_long_form_lower_is_better():
    study = read_table(long_rows(), higher_is_better=False)
    assert study.runs["best_score"].tolist() == [0.5, 0.5, 0.55, 0.6]
    assert study.runs["final_score"].tolist() == [0.5, 0.7, 0.6, 0.65]


def test_long_form_without_run_names_or_fractions():
    frame = long_rows().drop(columns=["run", "fraction"])
    frame["step"] = [10] * 4 + [20] * 4
    study = read_table(frame)
    assert len(study.runs) == 4
    assert study.curves is not None
    assert study.curves["fraction"].tolist() == [0.5, 1.0] * 4
    assert study.curves["step"].tolist() == [10.0, 20.0] * 4


def test_complete_curves_leave_out_stopped_runs():
    frame = long_rows()
    frame["status"] = ["finished", "stopped", "finished", "finished"] * 2
    frame = frame.drop(index=5).reset_index(drop=True)
    study = read_table(frame)
    complete = study.complete_curves()
    assert complete is not None
    assert set(complete["run"]) == {"a", "c", "d"}


def test_metric_column_selects_and_metric_name_finds_the_score():
    frame = pd.concat([rows(metric="acc"), rows(metric="f1", score=[0.1, 0.2, 0.3, 0.4])])
    assert read_table(frame, metric="f1").runs["score"].tolist() == [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(TableError, match=r"2 metrics \(acc, f1\); choose one with metric=NAME"):
        read_table(frame)
    with pytest.raises(TableError, match=r"no row has the metric 'mcc'; allowed: acc, f1"):
        read_table(frame, metric="mcc")
    named = rows().rename(columns={"score": "mcc"})
    assert read_table(named, metric="mcc").runs["score"].tolist() == [0.5, 0.7, 0.6, 0.65]


def three_scores(**columns):
    return rows(
        score=[0.51, 0.61, 0.55, 0.6],
        best_score=[0.6, 0.7, 0.65, 0.7],
        final_score=[0.5, 0.6, 0.55, 0.6],
        test_score=[0.4, 0.5, 0.45, 0.5],
        **columns,
    )


@pytest.mark.parametrize("score", ["best", "final", "test"])
def test_the_score_that_is_analysed_is_selected(score):
    frame = three_scores()
    study = read_table(frame, score=score)
    assert study.runs["score"].tolist() == frame[f"{score}_score"].tolist()
    assert study.runs["final_score"].tolist() == frame["final_score"].tolist()
    assert (study.score, study.untested is None or study.untested.empty) == (score, True)
    assert study.subset(task="rte").score == score
    bare = frame.drop(columns="score")
    assert read_table(bare, score=score).runs["score"].tolist() == study.runs["score"].tolist()


@pytest.mark.parametrize("score", ["best", "final"])
def test_the_column_score_serves_where_the_selected_one_is_missing(score):
    frame = three_scores().drop(columns=["best_score", "final_score"])
    assert read_table(frame, score=score).runs["score"].tolist() == frame["score"].tolist()


def test_a_long_table_has_its_evaluations_and_one_test_score_per_run():
    frame = long_rows()
    frame["test_score"] = [None] * 4 + [0.45, 0.65, 0.55, 0.6]
    scores = {name: read_table(frame, score=name) for name in ("best", "final", "test")}
    assert scores["best"].runs["score"].tolist() == [0.6, 0.7, 0.6, 0.65]
    assert scores["final"].runs["score"].tolist() == [0.5, 0.7, 0.6, 0.65]
    assert scores["test"].runs["score"].tolist() == [0.45, 0.65, 0.55, 0.6]
    assert len(scores["test"].curves) == len(frame)
    assert "test_score" not in scores["best"].curves
    frame.loc[0, "test_score"] = 0.44
    message = r"row 2, column 'test_score' is empty, and other rows of the table hold several"
    with pytest.raises(TableError, match=message):
        read_table(frame)


def test_a_long_table_may_have_a_test_score_per_evaluation():
    frame = long_rows()
    frame["test_score"] = np.arange(8) / 10
    study = read_table(frame)
    assert study.runs["test_score"].tolist() == [0.4, 0.5, 0.6, 0.7]
    assert study.curves.merge(frame[["run", "fraction", "test_score"]]).shape == study.curves.shape
    # A run without any test score is untested; step 0 and diverged evaluations need none.
    frame.loc[frame["run"] == frame["run"][3], "test_score"] = np.nan
    start = frame.iloc[:1].assign(fraction=0.0, test_score=np.nan)
    lost = frame.iloc[6:7].assign(score=np.nan, test_score=np.nan, failed=True)
    made = pd.concat([start, frame.drop(index=6), lost])
    made["failed"] = made["run"] == frame["run"][6]
    study = read_table(made, majority=0.4)
    assert study.runs.set_index("run")["test_score"].isna().sum() == 2


def test_runs_without_a_test_score_are_set_aside():
    frame = three_scores(status=["finished"] * 3 + ["stopped"]).assign(run=list("abcd"))
    frame.loc[[1, 3], "test_score"] = None
    study = read_table(frame, score="test")
    # A stopped run is in no estimate anyway.
    assert study.runs["run"].tolist() == ["a", "c", "d"]
    assert study.untested["run"].tolist() == ["b"]
    both = concat_studies([study, read_table(three_scores(recipe="r"), score="test")])
    assert (both.score, both.untested["run"].tolist()) == ("test", ["b"])
    with pytest.raises(TableError, match="several kinds of scores: best, test; allowed is one"):
        concat_studies([study, read_table(three_scores(recipe="r"))])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"test_score": [0.4, np.inf, 0.4, 0.4]}, r"row 2, column 'test_score': inf is not finite"),
        ({"test_score": [0.4, "high", 0.4, 0.4]}, r"row 2, column 'test_score': 'high' is not a n"),
        ({"test_score": [0.4, 1e101, 0.4, 0.4]}, r"row 2, column 'test_score': 1e\+101 is too la"),
        ({"test_score": [40, 50, 45, 50]}, r"rte, default: .* fractions beside percentages"),
        ({"test_score": [None] * 4}, r"no run .* has a test score.*task.dev_split=halved"),
        (
            {"test_score": [None, None, None, 0.5], "status": ["finished"] * 3 + ["stopped"]},
            "no run",
        ),
        ({}, r"the table: no run .* task.test_file=FILE .* the column 'test_score'"),
    ],
)
def test_test_scores_that_can_not_be_analysed(columns, message):
    with pytest.raises(TableError, match=message):
        read_table(rows(**columns), score="test")


def test_an_unknown_score_is_refused():
    with pytest.raises(OptionError, match="score is 'last'; allowed: 'best', 'final', 'test'"):
        read_table(rows(), score="last")


REFUSALS = [
    (rows().drop(columns="order_seed"), r"the column 'order_seed' is missing.* It holds: task"),
    (rows().rename(columns={"score": "scor"}), r"'score' is missing\. Did you mean 'scor'\?"),
    (rows(score=["0.5", "0.7", "high", "0.6"]), r"row 3, column 'score': 'high' is not a number"),
    (rows(score=[0.5, np.nan, 0.6, 0.6]), r"row 2, column 'score': .*marked as failed"),
    (rows(score=[0.5, np.inf, 0.6, 0.6]), r"row 2, column 'score': .*not finite"),
    (rows(init_seed=[0, 0.5, 1, 1]), r"row 2, column 'init_seed': .*0\.5.* is not an integer"),
    (rows(order_seed=[0, 1, None, 1]), r"row 3, column 'order_seed': .* is missing; allowed: int"),
    (rows(task=["a", "", "a", "a"]), r"row 2, column 'task': '' is missing"),
    (rows(order_seed=[0, 1, 0, 0]), r"rows 3 and 4 are both the cell task=rte.*order_seed=0"),
    (rows(failed=["no", "maybe", "no", "no"]), r"row 2, column 'failed': 'maybe' is not a truth"),
    (rows(run=["a", "b", "c", "a"]), r"row 4, column 'run': the name occurs a second time"),
    (rows(fraction=[0.5, 1.5, 1, 1]), r"row 2, column 'fraction' must be .*\[0, 1\]"),
    (
        rows(score=[0.5, None, 0.6, 0.6], failed=[0, 1, 0, 0]),
        r"row 2, .*chance value is unknown; give majority=VALUE",
    ),
    (long_rows().assign(fraction=[0.5] * 8), r"row 5, a second row for the same run and fraction"),
    (
        long_rows().assign(order_seed=[0, 1, 0, 1, 0, 1, 0, 2]),
        r"row 8, column 'order_seed': differs from the earlier rows of the same run",
    ),
    (
        rows(score=[0.5, 0.7, 10**400, 0.6]),
        r"row 3, column 'score': 10{59}\.\.\. is not a num",
    ),
    (rows(init_seed=[0, 10**400, 1, 1]), r"row 2, column 'init_seed': 10{59}\.\.\. is not an"),
    (rows().iloc[:0], r"holds no rows"),
]


@pytest.mark.parametrize(("frame", "message"), REFUSALS)
def test_refusals_name_row_column_and_remedy(frame, message):
    if "run" in frame and frame["run"].tolist() == ["a", "b", "c", "a"]:
        frame = frame.drop(columns="run").assign(run=frame["run"])
    with pytest.raises(TableError, match=message):
        read_table(frame)


def test_rows_keep_their_numbers_when_a_metric_is_selected():
    frame = pd.concat([rows(metric="acc"), rows(metric="f1", score=[0.1, None, 0.3, 0.4])])
    with pytest.raises(TableError, match="row 6, column 'score'"):
        read_table(frame, metric="f1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xlsx", "x", r"unknown extension '\.xlsx'; allowed: \.csv, .*\.parquet"),
        ("a.csv", "", r"is empty; the first line must name the columns"),
        ("a.csv", "task,init_seed\n", r"holds no rows"),
        ("a.csv", "task,task\n1,2\n", r"the column 'task' occurs twice"),
        ("a.csv", "a,b\n1,2\n1\n", r"row 2 has 1 fields, the header 2"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"row 2 is not JSON"),
        ("a.jsonl", "[1]\n", r"row 1 is a JSON list; each line must be one object"),
        ("a.jsonl", "[" * 100_000 + "\n", r"row 1 is nested too deeply; .* Correct or remove"),
        ("a.jsonl", '{"a": ' + "9" * 6000 + "}\n", r"row 1 holds an integer of more than 4,300 d"),
        ("a.jsonl", '{"a": "\\ud83d"}\n', r"cannot be read as jsonl: .*surrogates.* Write the tab"),
        (
            "a.csv",
            ",".join(f"x{i}" for i in range(10_001)) + "\n",
            r"10,001 columns; allowed: 10,0",
        ),
        ("a.parquet", "no parquet", r"cannot be read as parquet: .* Write the table again"),
    ],
    ids=lambda value: value[:20],
)
def test_unreadable_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        read_table(path)


def test_a_flipped_bit_in_a_parquet_file_is_read_or_refused(tmp_path):
    """Of 60 bits, spread over the file; a bit in a page of values may go unnoticed."""
    path = tmp_path / "a.parquet"
    rows().to_parquet(path)
    content = path.read_bytes()
    refused = 0
    # The last one is in a key of the metadata that pandas reads.
    bits = [
        *np.linspace(0, len(content) * 8 - 1, 60).astype(int),
        content.rfind(b"pandas_type") * 8,
    ]
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            read_frame(path)
        except TableError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("column", ["task", "recipe", "model", "run", "status", "metric"])
@pytest.mark.parametrize("character", ["\0", "\x1b", "\x9b", "\u202e", "\u2028", "\ufffe"])
def test_names_that_cannot_be_shown_are_refused(column, character):
    frame = rows(**{column: [f"{number}a{character}b" for number in range(4)]})
    frame["init_seed"] = range(4)
    with pytest.raises(
        TableError, match=rf"row 1, column '{column}': '0a\\.+b' is a name with the ch"
    ):
        read_table(frame)


@pytest.mark.parametrize("name", ["👨‍👩‍👧‍👦🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "e\u0301", "नमस्ते", "שלום", "漢字", "a b"])
def test_names_of_all_scripts_and_emoji_are_read(name):
    assert set(read_table(rows(task=name)).runs["task"]) == {name}


def test_line_separators_inside_json_texts_end_no_row(tmp_path):
    lines = [
        json.dumps({**row, "note": "a\u2028b\x85c"}, ensure_ascii=False)
        for row in rows().to_dict("records")
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert len(read_table(tmp_path / "a.jsonl").runs) == 4


def test_messages_show_long_values_and_many_columns_shortened():
    with pytest.raises(TableError) as refusal:
        read_table(rows(score=["0.5", "x" * 100_000, "0.5", "0.5"]))
    assert len(str(refusal.value)) < 400
    with pytest.raises(TableError, match=r"x0, x1, .*, x19, \.\.\.\. (Rename|Name)"):
        read_table(pd.DataFrame({f"x{i}": [1] for i in range(5000)}))


def test_missing_file(tmp_path):
    with pytest.raises(TableError, match=r"no such file; give the path"):
        read_table(tmp_path / "none.csv")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"task,\xff\xfe\n1,2\n")
    with pytest.raises(TableError, match=r"cannot be read as csv"):
        read_table(path)


def test_concatenation_renames_clashing_runs_and_refuses_the_same_cell():
    first = read_table(rows(), majority=0.5)
    second = read_table(rows(recipe="long", dropout_seed=[0, 1, 2, 3]), majority=0.5)
    both = concat_studies([first, second])
    assert both.runs["run"].is_unique
    assert [tuple(key) for key in both.group_keys()] == [
        ("rte", "unspecified", "default"),
        ("rte", "unspecified", "long"),
    ]
    assert both.runs["dropout_seed"].isna().tolist() == [True] * 4 + [False] * 4
    with pytest.raises(TableError, match=r"rows 1 and 5 are both the cell"):
        concat_studies([first, first])
    with pytest.raises(TableError, match="no study was given"):
        concat_studies([])


def test_curves_follow_their_runs_through_subset_and_concatenation():
    first = read_table(long_rows())
    second = read_table(long_rows().assign(recipe="long"))
    both = concat_studies([first, second])
    for key, part in both.groups():
        assert part.curves is not None
        assert len(part.curves) == 8
        assert set(part.curves["run"]) == set(part.runs["run"])
        assert part.group_keys() == [key]
    with pytest.raises(TableError, match="no run has recipe 'short'; the study holds: default, lo"):
        both.subset(recipe="short")
    with pytest.raises(TableError, match="the study holds 2; take one with subset"):
        both.grid()


def test_repeats_of_a_cell_are_told_apart_by_their_dropout_seed():
    frame = rows(order_seed=[0, 0, 1, 1], init_seed=[0, 0, 0, 0], dropout_seed=[0, 1, 0, 1])
    study = read_table(frame)
    assert study.grid().to_numpy().tolist() == [[pytest.approx(0.6), pytest.approx(0.625)]]


def test_reading_leaves_the_frame_alone():
    frame = rows()
    before = frame.copy()
    read_table(frame, majority=0.6)
    pd.testing.assert_frame_equal(frame, before)


def test_json_nulls_and_nan_words(tmp_path):
    path = tmp_path / "a.jsonl"
    records = rows(status=["failed", "finished", "finished", "finished"]).to_dict("records")
    records[0]["score"] = None
    path.write_text("\n".join(json.dumps(record) for record in records))
    assert read_table(path, majority=0.5).runs["score"].tolist() == [0.5, 0.7, 0.6, 0.65]


def test_the_cost_of_a_long_tables_run_is_its_largest_and_its_last_step():
    grown = long_rows().assign(seconds=[1.0, 2, 3, 4, 10, 20, 30, 40])
    assert read_table(grown).runs["seconds"].tolist() == [10, 20, 30, 40]
    assert "steps" not in read_table(grown).runs
    stepped = grown.drop(columns="fraction").assign(step=[50] * 4 + [100] * 4)
    assert read_table(stepped).runs["steps"].tolist() == [100] * 4
    # Stated in one row of a run.
    stated = stepped.assign(steps=[None] * 4 + [200.0] * 4)
    assert read_table(stated).runs["steps"].tolist() == [200] * 4


@pytest.mark.parametrize("column", ["steps", "seconds"])
def test_impossible_costs_are_refused(column):
    with pytest.raises(TableError) as refused:
        read_table(rows(**{column: [1.0, 2.0, -3.0, 4.0]}))
    assert str(refused.value) == (
        f"the table: row 3, column {column!r}: -3 is below 0; allowed: numbers from 0 on, the cost of "
        "the run so far. Correct the value or remove the row."
    )
    with pytest.raises(TableError, match=f"row 1, column '{column}': inf is not finite"):
        read_table(rows(**{column: [np.inf, 2.0, 3.0, 4.0]}))
    with pytest.raises(TableError, match=f"row 2, column '{column}': 'an hour' is not a number"):
        read_table(rows(**{column: ["1", "an hour", "2", "3"]}))
