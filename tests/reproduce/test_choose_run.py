from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from seedlab.errors import SeedlabError
from seedlab.reproduce.choose_run import choose, choose_several
from seedlab.store.study import StudyFolder
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task()


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "grid")


def test_the_best_run_is_that_of_the_best_score_after_step_0(study: StudyFolder) -> None:
    lucky, best, last = (
        study.write(make_result(TASK, init, scores=scores), TASK).run_id
        for init, scores in enumerate(((0.99, 0.5, 0.6), (0.5, 0.9, 0.7), (0.5, 0.7, 0.8)))
    )
    assert choose(study, "best") == best
    assert choose(study, "best", "final") == last
    # Final scores: .6, .7, .8. An intermediate task starts from the same run.
    assert choose(study, "median") == choose(study, "median", "final") == best
    assert lucky != best


def test_of_equal_runs_the_one_that_ends_better_is_chosen(study: StudyFolder) -> None:
    ends = {
        study.write(make_result(TASK, init, scores=(0.5, 0.9, final)), TASK).run_id: final
        for init, final in enumerate((0.7, 0.8, 0.6))
    }
    assert ends[choose(study, "best")] == 0.8


def test_runs_with_several_validation_sets_are_not_ranked(study: StudyFolder) -> None:
    study.write(make_result(TASK), TASK)
    other = make_task(dev=40)
    record = study.write(make_result(other, 1, scores=(0.5, 0.95)), other)
    message = (
        r"study 'grid' has runs with several validation sets \(20 examples, majority 0.600; "
        r"40 examples, majority 0.625\), whose scores can't be ranked together; name the run"
    )
    with pytest.raises(SeedlabError, match=message):
        choose(study, "best")
    assert choose(study, record.run_id[:8]) == record.run_id


def test_runs_with_other_training_data_are_ranked(study: StudyFolder) -> None:
    """The validation set is the same, and so may be the best run."""
    study.write(make_result(TASK), TASK)
    spec = make_spec()
    small = dataclasses.replace(
        spec, task=dataclasses.replace(spec.task, train_size=8), data_hash="f" * 32
    )
    record = study.write(make_result(TASK, 1, scores=(0.5, 0.95), spec=small), TASK)
    assert choose(study, "best") == record.run_id


def test_the_best_runs_come_best_first_without_those_that_diverged(study: StudyFolder) -> None:
    """By chosen scores; ids are taken as they are given."""
    worst, best, middle, _ = (
        study.write(make_result(TASK, init, scores=(0.5, score, 0.5), status=status), TASK).run_id
        for init, (score, status) in enumerate(
            ((0.6, "finished"), (0.9, "finished"), (0.7, "finished"), (0.95, "diverged"))
        )
    )
    assert choose_several(study, ["best:2"]) == [best, middle]
    assert choose_several(study, ["best:3"]) == [best, middle, worst]
    assert choose_several(study, [worst[:8], best]) == [worst, best]
    for which, message in (
        (
            ["best:4"],
            r"'best:4' asks for 4 runs, and study 'grid' has 3 finished ones; ask for few",
        ),
        (["best:0"], r"'best:0' names no number of runs; allowed: best:N, as in best:5"),
        (["best:"], r"'best:' names no number of runs"),
        (["best:2", worst], rf"the runs are best:2 {worst}; give best:N alone, or run ids alone"),
    ):
        with pytest.raises(SeedlabError, match=message):
            choose_several(study, which)
