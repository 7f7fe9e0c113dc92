"""`seedlab report` and `seedlab plan` on a table, as a user calls them."""

import json

import pytest

from seedlab.commands import cli
from tests.suites.made_studies import long_table, plain


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "scores.csv"
    plain(3, 3).runs[["task", "init_seed", "order_seed", "score"]].to_csv(path, index=False)
    return path


def test_report_on_a_table(table, tmp_path, capsys):
    out = tmp_path / "out"
    code = cli.main(
        ["report", "--table", str(table), "--metric", "accuracy", "--majority", "0.5", "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    assert "report.html" in capsys.readouterr().out
    group = json.loads((out / "summary.json").read_text())["groups"][0]
    assert (group["metric"], group["n_runs"], group["failures_judged"]) == ("accuracy", 9, True)


@pytest.mark.parametrize(
    ("asked", "mean"),
    [([], "0.800"), (["--score", "final"], "0.600"), (["--score", "best"], "0.800")],
)
def test_the_score_of_a_table_is_chosen(asked, mean, tmp_path, capsys):
    path = tmp_path / "scores.csv"
    path.write_text(
        "task,seed,score,best_score,final_score\nt,1,0.69,0.79,0.59\nt,2,0.71,0.81,0.61\n"
    )
    assert cli.main(["plan", "--table", str(path), "--width", "0.05", *asked]) == 0
    assert f"score {mean} on average" in capsys.readouterr().out


def test_test_scores_need_test_scores(table, tmp_path, capsys):
    arguments = ["--table", str(table), "--score", "test"]
    assert cli.main(["plan", *arguments, "--width", "0.05"]) == 2
    assert cli.main(["report", *arguments, "--out", str(tmp_path / "out")]) == 2
    refused = capsys.readouterr().err
    assert refused.count("train with task.dev_split=halved, or with task.test_file=FILE") == 2
    assert not (tmp_path / "out").exists()


def test_plan_on_a_long_table(tmp_path, capsys):
    path = tmp_path / "long.jsonl"
    long_table().to_json(path, orient="records", lines=True)
    assert cli.main(["plan", "--table", str(path), "--width", "0.05", "--budget", "3"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Pilot of 16 runs")
    assert printed[1].startswith("A 95% interval for the mean at most 0.05 wide takes")
    assert "budget of 3 full trainings" in printed[2]


def test_examples_need_predictions(table, tmp_path, capsys):
    examples = tmp_path / "examples.csv"
    examples.write_text("example,cluster\n0,a\n1,b\n")
    asked = ["report", "--table", str(table), "--examples", str(examples)]
    assert cli.main([*asked, "--out", str(tmp_path / "out")]) == 2
    assert "belong to predictions, and there are none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "--out", "x"], "nothing to report on; name one study or more"),
        (["report", "--table", "no.csv", "--out", "x"], "no.csv: no such file"),
        (["report", "s", "--table", "no.csv", "--out", "x"], "both given; allowed: one of them"),
        (["report", "s", "--metric", "f1", "--out", "x"], "--metric belongs to --table"),
        (["report", "s", "--majority", "0", "--out", "x"], "--majority belongs to --table"),
        (["plan"], "nothing to plan"),
        (["plan", "--width", "1"], "standard deviation of a run's score is unknown"),
        (["plan", "--sd", "1", "--width", "-1"], "width is -1"),
    ],
)
def test_refusals_are_one_sentence_and_write_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
