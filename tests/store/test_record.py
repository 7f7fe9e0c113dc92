from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedlab.errors import CorruptRunError, SeedlabError
from seedlab.store.chosen import ScoredRun
from seedlab.store.make_record import is_constant, make_record
from seedlab.store.record import Record, json_value
from seedlab.store.tables.export import run_row
from seedlab.training.result import Evaluation
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task()


def row_of(record):
    return run_row(ScoredRun(record, record.best_score, record.best_step), "s")


# 20 dev labels: a quarter set to class 0, the rest alternating, which makes 12 zeros.
MAJORITY = 0.6


def test_majority_is_that_of_the_dev_labels():
    record = make_record(make_result(TASK), TASK)
    assert record.majority == pytest.approx(MAJORITY)
    assert (record.split, record.n_examples, record.n_labels) == ("dev", 20, 2)


@pytest.mark.parametrize(("final", "failed"), [(0.61, False), (MAJORITY, True), (0.3, True)])
def test_failed_means_the_final_score_does_not_beat_the_majority(final, failed):
    record = make_record(make_result(TASK, scores=(0.9, final)), TASK)
    assert record.failed is failed
    assert record.best_score == 0.9
    assert record.final_score == final


def test_final_scores_are_those_of_the_kept_weights():
    """The test split is scored with them; a diverged run counts with chance all the same."""
    task = make_task(test=True)
    result = make_result(task, scores=(0.9, 0.7, 0.8, 0.3))
    dev = tuple(e for e in result.evaluations if e.split == "dev")
    tested = Evaluation(4, 2.0, "test", "accuracy", 0.65)
    result = dataclasses.replace(result, evaluations=(*dev, tested), kept_step=4)
    record = make_record(result, task)
    assert (record.final_score, record.test_score, record.kept_step) == (0.8, 0.65, 4)
    assert (record.best_score, record.best_step, record.steps, record.failed) == (0.9, 0, 6, False)
    assert (record.weights_step, record.epochs_made) == (4, 3.0)
    assert make_record(make_result(task), task).weights_step == 6
    gone = make_record(dataclasses.replace(result, status="diverged"), task)
    assert (gone.final_score, gone.kept_step, gone.failed) == (gone.majority, 4, True)


def test_lower_is_better_reverses_best_and_failed():
    task = make_task(n_labels=1, metric="rmse")
    spread = float(np.std(task.splits["dev"].labels))
    good = make_record(make_result(task, scores=(2.0, 0.1, 0.2)), task)
    assert (good.direction, good.best_score, good.final_score) == ("min", 0.1, 0.2)
    assert good.majority == pytest.approx(spread)
    assert not good.failed
    assert make_record(make_result(task, scores=(0.1, 2 * spread)), task).failed


def test_best_step_is_the_first_of_equals():
    record = make_record(make_result(TASK, scores=(0.2, 0.8, 0.5, 0.8), steps=6), TASK)
    assert (record.best_score, record.best_step) == (0.8, 2)


def test_a_diverged_run_ends_at_chance_and_keeps_its_best():
    result = make_result(TASK, scores=(0.5, 0.9, math.nan), status="diverged")
    record = make_record(result, TASK)
    assert record.failed
    assert record.final_score == record.majority
    assert record.best_score == 0.9


def test_a_run_that_diverges_before_any_evaluation_has_the_chance_score():
    task = make_task(test=True)
    result = dataclasses.replace(
        make_result(task, scores=(), status="diverged"), logits={}, total_steps=100
    )
    record = make_record(result, task)
    assert record.best_score == record.final_score == record.majority
    assert record.test_score == pytest.approx(
        np.bincount(task.splits["test"].labels).max() / len(task.splits["test"])
    )
    assert (record.steps, record.total_steps, record.constant) == (6, 100, False)


def test_a_stopped_run_has_no_test_score_though_its_test_curve_began():
    task = make_task(test=True)
    result = make_result(task, scores=(0.5, 0.9), status="stopped")
    scored = dataclasses.replace(
        result,
        evaluations=(
            *result.evaluations,
            *(dataclasses.replace(e, split="test") for e in result.evaluations),
        ),
    )
    assert make_record(scored, task).test_score is None
    assert make_record(dataclasses.replace(scored, status="finished"), task).test_score == 0.9


def test_a_score_that_is_not_finite_becomes_chance_in_a_finished_run():
    task = make_task(n_labels=1)
    record = make_record(make_result(task, scores=(math.nan, math.nan)), task)
    assert record.final_score == record.majority == record.best_score
    assert record.failed


def test_a_finished_run_must_have_been_evaluated():
    result = make_result(TASK, scores=())
    with pytest.raises(SeedlabError, match=r"no evaluation of 'accuracy' on 'dev'"):
        make_record(result, TASK)


def test_an_unknown_status_is_refused():
    with pytest.raises(SeedlabError, match=r"'done' does not exist; allowed: finished, diverged"):
        make_record(make_result(TASK, status="done"), TASK)


def test_a_stopped_run_is_not_over():
    assert not make_record(make_result(TASK, status="stopped"), TASK).is_over


@pytest.mark.parametrize(
    ("logits", "regression", "expected"),
    [
        ([[2, 1], [3, 0]], False, True),
        ([[2, 1], [0, 3]], False, False),
        ([[0.25], [0.25]], True, True),
        ([[0.25], [0.26]], True, False),
        ([[0.25], [0.25 + 1e-7]], True, True),
        ([[math.nan, 1], [math.nan, 1]], False, False),
        ([], False, False),
    ],
)
def test_constant_predictions(logits, regression, expected):
    assert is_constant(np.array(logits, dtype=np.float32), regression) is expected


def test_counts_and_provenance_come_from_the_task_and_the_engine():
    result = make_result(
        TASK, 3, 4, engine="packed", width=8, slot=np.int64(5), extra=np.float32(2)
    )
    record = make_record(result, TASK)
    assert record.truncated == {"train": 3, "dev": 1}
    assert record.train_examples == 32
    assert (record.engine, record.width, record.slot, record.threads) == ("packed", 8, 5, 1)
    assert record.provenance["extra"] == 2.0
    assert record.seeds == {
        "init": 3,
        "order": 4,
        "dropout": 4,
        "mixout": 4,
        "mask": 0,
        "augment": 0,
        "subsample": 0,
    }
    assert {"python", "numpy", "torch", "transformers", "seedlab"} <= record.versions.keys()
    assert record.started < record.finished


def test_by_another_metric_than_accuracy_a_run_must_beat_chance():
    """A coefficient of .05 beats the majority's 0, and so do many of shuffled predictions."""
    task = make_task(dev=200, metric="matthews")
    labels = task.splits["dev"].labels

    def record(predicted, score):
        result = make_result(task, scores=(score,))
        return make_record(dataclasses.replace(result, logits={"dev": np.eye(2)[predicted]}), task)

    chance = record(np.random.default_rng(0).permutation(labels), 0.05)
    assert (chance.majority, chance.failed, chance.failed_rule) == (0.0, True, "chance")
    assert not record(labels, 1.0).failed
    assert record(np.zeros_like(labels), 0.0).failed
    # Without predictions only the majority can be asked.
    blind = make_record(dataclasses.replace(make_result(task, scores=(0.05,)), logits={}), task)
    assert (blind.failed, blind.failed_rule) == (False, "majority")


def test_accuracy_is_judged_by_the_majority_and_so_are_records_of_earlier_releases():
    record = make_record(make_result(TASK, scores=(0.61,)), TASK)
    assert (record.failed, record.failed_rule) == (False, "majority")
    task = make_task(metric="matthews")
    values = make_record(make_result(task, scores=(0.01,)), task).to_dict()
    # What was written stays: nothing is judged again.
    old = Record.from_dict(
        {k: v for k, v in values.items() if k != "failed_rule"} | {"failed": False}
    )
    assert (old.failed, old.failed_rule) == (False, "majority")
    assert row_of(old)["failed_rule"] == "majority"


def test_the_shares_of_unknown_tokens_come_from_the_task():
    splits = {n: dataclasses.replace(s, unknown=0.25) for n, s in TASK.splits.items()}
    splits["dev"] = dataclasses.replace(splits["dev"], unknown=0.5)
    task = dataclasses.replace(TASK, splits=splits)
    record = make_record(make_result(task), task)
    assert record.unknown_tokens == {"train": 0.25, "dev": 0.5}
    row = row_of(record)
    assert (row["unknown_tokens"], row["unknown_tokens_train"]) == (0.5, 0.25)
    values = record.to_dict()
    del values["unknown_tokens"]
    assert row_of(Record.from_dict(values))["unknown_tokens"] is None


def test_the_specification_can_be_rebuilt_from_a_record():
    spec = make_spec(2, 7)
    labels = dataclasses.replace(spec, task=dataclasses.replace(spec.task, labels=("no", "yes")))
    record = make_record(make_result(TASK, 2, 7, spec=labels), TASK)
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))).run_spec().run_id == (
        labels.run_id
    )
    assert record.run_id == labels.run_id


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
UNIT = st.floats(0, 1)


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(UNIT | st.just(math.nan), min_size=1, max_size=6),
    seeds=st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)),
    seconds=st.floats(0, 1e6),
    status=st.sampled_from(["finished", "diverged", "stopped"]),
    extra=JSON_VALUES,
)
def test_a_record_survives_json_and_its_best_is_never_worse_than_its_final(
    scores, seeds, seconds, status, extra
):
    result = make_result(TASK, *seeds, scores=tuple(scores), status=status, extra=extra)
    record = make_record(dataclasses.replace(result, seconds=seconds), TASK)
    text = json.dumps(record.to_dict(), allow_nan=False)
    assert Record.from_dict(json.loads(text)) == record
    assert record.best_score >= record.final_score
    assert math.isfinite(record.best_score)
    assert record.run_id == result.spec.run_id


REQUIRED = {
    *("run_id", "spec", "status", "failed", "constant", "task", "model", "recipe", "seeds"),
    *("metric", "direction", "majority", "n_examples", "n_labels", "split", "best_score"),
    *("best_step", "final_score", "steps", "total_steps"),
}


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Record)])
def test_a_record_needs_its_outcome_and_no_circumstance(name):
    """Every field is in one of two classes, and a new one must not be required."""
    values = make_record(make_result(TASK), TASK).to_dict()
    values.pop(name, None)
    if name not in REQUIRED:
        assert Record.from_dict(values).final_score == 0.9
        return
    with pytest.raises(CorruptRunError, match=rf"lacks required fields: {name}$"):
        Record.from_dict(values)


def test_a_record_keeps_the_fields_of_another_release():
    record = make_record(make_result(TASK), TASK)
    values = record.to_dict() | {"energy": {"joules": 3.5}, "extra": [1]}
    values["spec"]["recipe"]["mixout"]["annealed"] = True
    values["spec"]["recipe"]["sharpness"] = {"rho": 0.05}
    read = Record.from_dict(json.loads(json.dumps(values)))
    assert read.extra == {"energy": {"joules": 3.5}, "extra": [1]}
    assert json.loads(json.dumps(read.to_dict())) == json.loads(json.dumps(values))
    assert read.run_spec().run_id == record.run_id
    assert json.loads(json.dumps(read.run_spec().to_dict())) == read.spec


def test_what_json_can_not_hold_becomes_its_text():
    assert json_value({"a": (1, np.float64(math.inf)), 2: {3}}) == {"a": [1, None], "2": "{3}"}
