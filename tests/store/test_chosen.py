from __future__ import annotations

import math

import pandas as pd
import pytest

from seedlab.store.chosen import scored, scored_runs
from seedlab.store.study import StudyFolder
from seedlab.store.tables.export import export
from seedlab.tasks.encoded import EncodedTask
from tests.suites.store_cases import make_result, make_task


@pytest.mark.parametrize(
    ("scores", "status", "best", "chosen"),
    [
        # Evaluations at steps 0, 2, 4 and 6; the majority scores .6.
        ((0.9, 0.5, 0.7, 0.7), "finished", (0.9, 0), (0.7, 4)),
        ((0.8, 0.5, 0.8, 0.7), "finished", (0.8, 0), (0.8, 4)),
        ((0.5, 0.7, 0.9, 0.8), "finished", (0.9, 4), (0.9, 4)),
        ((0.9, math.nan, 0.7, math.nan), "finished", (0.9, 0), (0.7, 4)),
        ((0.9, 0.4, 0.8, 0.7), "stopped", (0.9, 0), (0.8, 4)),
        ((0.9, 0.65, 0.5, 0.5), "diverged", (0.9, 0), (0.65, 2)),
        # The final score of a diverged run is chance, after its last update.
        ((0.9, 0.5, 0.5, 0.5), "diverged", (0.9, 0), (0.6, 6)),
    ],
)
def test_step_0_is_never_chosen(study, task, scores, status, best, chosen):
    study.write(make_result(task, scores=scores, status=status), task)
    (run,) = scored_runs(study)
    assert (run.record.best_score, run.record.best_step) == best
    assert (run.chosen_score, run.chosen_step) == chosen
    assert run.reported("best") == chosen[0]


def test_where_lower_is_better_the_smallest_score_after_step_0_is_chosen(study):
    task = make_task(n_labels=1, metric="rmse")
    study.write(make_result(task, scores=(0.1, 0.5, 0.3, 0.4)), task)
    (run,) = scored_runs(study)
    assert (run.record.best_step, run.chosen_score, run.chosen_step) == (0, 0.3, 4)


def test_a_run_that_diverged_before_its_first_update_has_no_chosen_step(study, task):
    study.write(make_result(task, scores=(), steps=0, status="diverged"), task)
    (run,) = scored_runs(study)
    assert run.chosen_step is None
    assert run.chosen_score == run.reported("best") == run.record.final_score == 0.6


def test_damaged_evaluations_are_set_aside(study: StudyFolder, task: EncodedTask):
    record = study.write(make_result(task, scores=(0.9, 0.5, 0.7)), task)
    path = study.run_folder(record.run_id) / "evaluations.parquet"
    path.write_bytes(bytes(path.stat().st_size))
    assert list(scored_runs(study)) == []
    assert study.corrupt() == [record.run_id]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_exported_runs_have_the_chosen_score_beside_the_best(study, task, format):
    study.write(make_result(task, 0, scores=(0.9, 0.5, 0.7, 0.7)), task)
    study.write(make_result(task, 1, scores=(), steps=0, status="diverged"), task)
    path = export(study, format=format) / f"runs.{format}"
    frame = (pd.read_csv if format == "csv" else pd.read_parquet)(path).set_index("init_seed")
    columns = ["best_score", "best_step", "chosen_score", "chosen_step"]
    assert frame.loc[0, columns].tolist() == [0.9, 0, 0.7, 4]
    assert frame.loc[1, "chosen_score"] == 0.6
    assert pd.isna(frame.loc[1, "chosen_step"])
    assert scored(study, next(iter(study.records().values()))).record.best_step == 0
