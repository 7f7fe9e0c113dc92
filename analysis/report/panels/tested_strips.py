"""The panel on test scores, beside that on validation scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from analysis.data.analysed_score import has_test_scores, with_test_scores
from analysis.data.labels import file_stem
from analysis.data.study import concat_studies
from analysis.figures.scores import score_strips
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import Entry, Per, drawn

MOST_DESCRIBED = 4
"""Groups whose means stand in the caption one by one."""


class TestedStrips:
    """The test scores of a task, a strip per group, where the report is on validation scores."""

    per: ClassVar[Per] = "task"

    def entries(self, groups: list[GroupResults], report: ReportResults) -> Iterator[Entry]:
        """One panel, where a run has a test score."""
        if report.study.score == "test":
            return
        tested = [group for group in groups if has_test_scores(group.runs)]
        if not tested:
            return
        task = groups[0].key.task
        alone = len(groups) == 1
        study = with_test_scores(concat_studies([group.study for group in tested]), task)
        yield drawn(
            f"test-scores-{groups[0].stem if alone else file_stem(task)}",
            f"{task}: test scores",
            tested_caption(tested),
            lambda: score_strips(study),
        )


def tested_caption(groups: list[GroupResults]) -> str:
    """Mean test and validation scores of the runs that have both."""
    texts, sizes = [], set()
    for group in groups[:MOST_DESCRIBED]:
        runs = group.runs.loc[group.runs["test_score"].notna()]
        sizes.add(len(runs))
        test, dev = (number(runs[name].mean(), group.digits) for name in ("test_score", "score"))
        # The heading names the task.
        name = group.label.removeprefix(f"{group.key.task}, ")
        texts.append(f"{name} {test} ({dev})" if len(groups) > 1 else f"{test} ({dev})")
    if len(groups) > MOST_DESCRIBED:
        texts.append(f"{len(groups) - MOST_DESCRIBED} more in the tables")
    n = count(sizes.pop(), "run") if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)} runs"
    each = " each" if len(groups) > 1 else ""
    return (
        f"Mean test scores, validation scores in parentheses: {', '.join(texts)}; {n}{each}. "
        "Crosses are runs that failed on the validation set."
    )
