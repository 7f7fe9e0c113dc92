import json

import numpy as np
import pandas as pd
import pytest

from analysis.data.analysed_score import keeps_best, last_scores
from analysis.data.exported import REQUIRED, SCHEMA_VERSION, read_study
from analysis.data.labels import SETTINGS
from analysis.data.study import SEED_COLUMNS
from analysis.errors import OptionError, TableError


def tables():
    runs = pd.DataFrame(
        {
            "run": ["a", "b", "c", "d"],
            "task": "rte",
            "model": "tiny",
            "recipe": "devlin",
            "init_seed": [0, 0, 1, 1],
            "order_seed": [0, 1, 0, 1],
            "dropout_seed": [0, 1, 0, 1],
            "status": ["finished", "finished", "diverged", "stopped"],
            "failed": [False, False, True, None],
            "metric": "accuracy",
            "direction": "max",
            "majority": 0.5,
            "n_examples": 10,
            "split": "validation",
            "best_score": [0.8, 0.7, 0.6, 0.55],
            "final_score": [0.7, 0.7, np.nan, np.nan],
            "engine": "packed",
        }
    )
    evaluations = pd.DataFrame(
        [
            (run, step, step / 20, step / 10, split, metric, value)
            for run, values in {
                "a": [0.8, 0.7],
                "b": [0.6, 0.7],
                "c": [0.6, np.nan],
                "d": [0.55],
            }.items()
            for step, value in zip([10, 20], values, strict=False)
            for split in ("validation", "test")
            for metric in ("accuracy", "f1")
        ],
        columns=["run", "step", "fraction", "epoch", "split", "metric", "value"],
    )
    steps = pd.DataFrame({"run": ["a", "a", "c"], "step": [1, 0, 0], "train_loss": [1, 2, np.nan]})
    predictions = pd.DataFrame(
        {
            "run": ["a", "b", "a"],
            "split": ["validation", "validation", "test"],
            "example": [0, 0, 0],
            "label": [1, 1, 0],
            "logits": [[0.0, 1.0], [1.0, 0.0], [9.0, 9.0]],
        }
    )
    return {"runs": runs, "evaluations": evaluations, "steps": steps, "predictions": predictions}


def export(folder, frames, kind="parquet", version=1):
    for name, frame in frames.items():
        if kind == "parquet":
            frame.to_parquet(folder / f"{name}.parquet")
        else:
            if name == "predictions":
                flat = np.array(frame["logits"].to_list()).reshape(len(frame), 2)
                frame = frame.drop(columns="logits").assign(logit_0=flat[:, 0], logit_1=flat[:, 1])
                # A task of the same study with three classes.
                frame["logit_2"] = None
            frame.to_csv(folder / f"{name}.csv", index=False)
    schema = {"schema_version": version, "tables": dict.fromkeys(frames, "")}
    (folder / "schema.json").write_text(json.dumps(schema))
    return folder


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_an_exported_study(tmp_path, kind):
    study = read_study(export(tmp_path, tables(), kind))
    runs = study.runs
    assert runs["score"].tolist() == [0.8, 0.7, 0.6, 0.55]
    # The diverged run ends at chance; the stopped one has no final score.
    assert runs["final_score"].fillna(-1).tolist() == [0.7, 0.7, 0.5, -1]
    assert runs["failed"].tolist() == [False, False, True, False]
    assert runs["diverged"].tolist() == [False, False, True, False]
    assert runs["complete"].tolist() == [True, True, True, False]
    assert set(runs["engine"]) == {"packed"}
    assert study.curves is not None
    assert study.curves["score"].tolist() == [0.8, 0.7, 0.6, 0.7, 0.6, 0.5, 0.55]
    assert study.steps is not None
    assert study.steps["train_loss"].iloc[:2].tolist() == [2, 1]
    assert study.predictions is not None
    assert study.predictions["logits"].map(list).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert study.test_predictions is not None
    assert study.test_predictions[["run", "example", "label"]].to_numpy().tolist() == [["a", 0, 0]]
    assert study.test_predictions["logits"].map(list).tolist() == [[9.0, 9.0]]


def test_final_scores_may_be_chosen(tmp_path):
    folder = export(tmp_path, tables())
    assert read_study(folder, score="final").runs["score"].iloc[0] == 0.7
    with pytest.raises(OptionError, match=r"score is 'worst'; allowed: 'best', 'final'"):
        read_study(folder, score="worst")


def with_step_0(best_step=True):
    """Run a is best before training, b after it; c diverged and d was stopped."""
    frames = tables()
    start = frames["evaluations"].drop_duplicates(["run", "split", "metric"])
    start = start.assign(step=0, fraction=0.0, epoch=0.0, value=start["run"].map({"a": 0.95}))
    start["value"] = start["value"].fillna(0.5)
    frames["evaluations"] = pd.concat([start, frames["evaluations"]], ignore_index=True)
    frames["runs"]["best_score"] = [0.95, 0.7, 0.6, 0.55]
    if best_step:
        frames["runs"] = frames["runs"].assign(best_step=[0, 20, 10, 10], steps=[20, 20, 20, 10])
    return frames


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("best_step", [True, False])
def test_an_export_without_chosen_scores_gets_them_from_its_evaluations(tmp_path, kind, best_step):
    """The score of the untrained model is in the curve and in best_score, and is never chosen."""
    study = read_study(export(tmp_path, with_step_0(best_step), kind))
    runs = study.runs
    assert runs["score"].tolist() == runs["chosen_score"].tolist() == [0.8, 0.7, 0.6, 0.55]
    assert runs["chosen_step"].tolist() == [10, 20, 10, 10]
    assert runs["best_score"].iloc[0] == 0.95
    assert study.curves.groupby("run")["score"].max()["a"] == 0.95


def test_of_equal_scores_the_first_after_step_0_is_chosen(tmp_path):
    frames = with_step_0()
    frames["evaluations"].loc[frames["evaluations"]["run"] == "a", "value"] = 0.95
    assert read_study(export(tmp_path, frames)).runs["chosen_step"].iloc[0] == 10


def test_the_exported_chosen_score_is_used(tmp_path):
    chosen = {"chosen_score": [0.81, 0.71, np.nan, np.nan], "chosen_step": [10, 20, np.nan, np.nan]}
    frames = with_step_0()
    runs = frames["runs"].assign(**chosen)
    study = read_study(export(tmp_path, frames | {"runs": runs}))
    # A diverged run without an evaluation has the chance value.
    assert study.runs["score"].fillna(-1).tolist() == [0.81, 0.71, 0.5, -1]


def test_without_evaluations_a_best_score_at_step_0_says_what_is_missing(tmp_path):
    runs = with_step_0()["runs"]
    message = (
        r"row 1, column 'best_score' is the score of step 0, the untrained model, which is never "
        r"chosen, and the best score after it is missing\. Export the study again"
    )
    with pytest.raises(TableError, match=message):
        read_study(export(tmp_path, {"runs": runs}))
    assert read_study(tmp_path, score="final").runs["score"].iloc[0] == 0.7
    later = read_study(export(tmp_path, {"runs": runs.assign(best_step=[10, 20, 10, 10])}))
    assert later.runs["score"].tolist() == runs["best_score"].tolist()


def test_a_run_that_was_never_trained_is_refused(tmp_path):
    runs = tables()["runs"].assign(chosen_score=[np.nan, 0.7, np.nan, np.nan])
    with pytest.raises(TableError, match=r"row 1, column 'chosen_score' is empty: .*--score final"):
        read_study(export(tmp_path, {"runs": runs}))


def test_only_the_runs_table_is_needed(tmp_path):
    study = read_study(export(tmp_path, {"runs": tables()["runs"]}))
    assert study.curves is study.steps is study.predictions is None


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_tables_without_rows_are_absent(tmp_path, kind):
    frames = {name: frame.iloc[:0] for name, frame in tables().items()}
    study = read_study(export(tmp_path, frames | {"runs": tables()["runs"]}, kind))
    assert study.curves is study.steps is study.predictions is None
    export(tmp_path, frames, kind)
    with pytest.raises(TableError, match=r"holds no rows; at least one run is needed"):
        read_study(tmp_path)


def test_settings_of_a_recipe_are_recipes(tmp_path):
    runs = tables()["runs"]
    again = runs.assign(run=["e", "f", "g", "h"], setting="two", learning_rate=3e-5)
    both = pd.concat([runs.assign(setting="one", learning_rate=2e-5), again])
    study = read_study(export(tmp_path, {"runs": both.assign(schedule="linear")}))
    assert [key.recipe for key in study.group_keys()] == [
        "devlin, learning_rate=2e-05",
        "devlin, learning_rate=3e-05",
    ]
    unnamed = both.assign(learning_rate=1.0)
    study = read_study(export(tmp_path, {"runs": unnamed}))
    assert [key.recipe for key in study.group_keys()] == [
        "devlin, setting one",
        "devlin, setting two",
    ]
    one = read_study(export(tmp_path, {"runs": runs.assign(setting="one")}))
    assert [key.recipe for key in one.group_keys()] == ["devlin"]


def test_what_is_read_is_what_the_exporter_promises():
    schema = pytest.importorskip("seedlab.store.tables.schema")
    assert schema.SCHEMA_VERSION == SCHEMA_VERSION
    for table, columns in REQUIRED.items():
        assert set(columns) <= set(schema.TABLES[table])
    assert set(SETTINGS) <= set(schema.TABLES["runs"])
    read = {"chosen_score", "chosen_step", "best_step", "steps"}
    read |= {"direction", "best_score", "majority", "n_examples", "split", "failed", "setting"}
    assert read | set(SEED_COLUMNS) <= set(schema.TABLES["runs"])
    assert "logits" in schema.TABLES["predictions"]
    for status in ("finished", "diverged", "stopped"):
        assert status in schema.TABLES["runs"]["status"][1]


def test_refusals(tmp_path):
    with pytest.raises(TableError, match=r"there is no schema\.json"):
        read_study(tmp_path)
    frames = tables()
    export(tmp_path, frames, version=7)
    with pytest.raises(TableError, match=r"schema version 7; this version reads 1"):
        read_study(tmp_path)
    export(tmp_path, frames)
    (tmp_path / "steps.parquet").unlink()
    with pytest.raises(TableError, match=r"lists the table 'steps', but there is no"):
        read_study(tmp_path)
    (tmp_path / "schema.json").write_text("[]")
    with pytest.raises(TableError, match=r"is not an object with a schema_version"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("runs", {"direction": "sideways"}, r"row 1, column 'direction': .*allowed: 'max'"),
        ("runs", {"order_seed": 0}, r"rows 1 and 2|rows 3 and 4"),
        ("runs", {"final_score": [0.7, np.nan, 0.5, 0.5]}, r"row 2, column 'final_score'"),
        ("evaluations", {"run": "z"}, r"row 1, column 'run': there is no such run"),
        ("evaluations", {"fraction": 1.0}, r"a second value for the same run"),
        ("evaluations", {"fraction": 2.0}, r"row 1, column 'fraction' must be"),
        (
            "predictions",
            {"run": "a", "split": "validation"},
            r"row 2, a second row for the same run and example",
        ),
    ],
)
def test_bad_values_are_refused_by_row(tmp_path, table, change, message):
    frames = tables()
    if change == {"order_seed": 0}:
        change = change | {"dropout_seed": 0}
    frames[table] = frames[table].assign(**change)
    with pytest.raises(TableError, match=message):
        read_study(export(tmp_path, frames))


def test_test_scores_of_an_exported_study(tmp_path):
    frames = tables()
    with pytest.raises(TableError, match=r"no run .* has a test score.*task.dev_split=halved"):
        read_study(export(tmp_path, frames), score="test")
    frames["runs"]["test_score"] = [0.65, None, 0.5, None]
    study = read_study(export(tmp_path, frames), score="test")
    assert study.runs.set_index("run")["score"].dropna().to_dict() == {"a": 0.65, "c": 0.5}
    assert study.untested["run"].tolist() == ["b"]
    # Curves stay those of the validation set.
    assert study.curves.loc[study.curves["run"] == "a", "score"].tolist() == [0.8, 0.7]


def test_runs_that_keep_the_weights_of_their_best_evaluation(tmp_path):
    """Their final score is the chosen one. Texts call it so, and the last evaluation is on the curve."""
    frames = tables()
    runs = frames["runs"]
    frames["runs"] = runs.assign(keep=np.where(runs["run"] == "d", "final", "best"))
    study = read_study(export(tmp_path, frames), score="final")
    assert study.score == "final"
    part = study.runs.loc[study.runs["keep"] == "best"]
    assert keeps_best(part)
    assert not keeps_best(study.runs)
    curves = pd.DataFrame({"run": "a", "fraction": [1.0, 0.5], "score": [0.25, 0.75]})
    last = last_scores(part.assign(final_score=0.75), curves).set_axis(part["run"])
    assert last["a"] == 0.25
    assert (last.drop("a") == 0.75).all()
    plain = last_scores(part.assign(final_score=0.75, keep="final"), curves)
    assert (plain == 0.75).all()
    everywhere = frames | {"runs": frames["runs"].assign(keep="best")}
    assert read_study(export(tmp_path, everywhere), score="final").score == "best"
