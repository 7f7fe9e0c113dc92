"""Warnings for readers of a report: pure rules over the design of a study.

No rule depends on the scores' being good or bad. After
Bethard 2022 (arXiv:2210.13393) on risky uses of seeds, among others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from analysis.data.analysed_score import keeps_best, untested_text
from analysis.data.early_stopped import is_selected
from analysis.data.seed_design import TOGETHER, seeds_move_together
from analysis.data.study import GROUP_COLUMNS, Group, Study

# True share .25: at 5 x 5 seeds the jackknife interval is .89 wide on average, at 10 x 10 .55.
FEW_LEVELS = 10
WIDE_SHARE = 0.5
# From this ratio of the numbers of runs, the best of the larger sample is visibly too good.
UNEQUAL_RATIO = 1.5
MANY_UNKNOWN = 0.05
"""share of unknown tokens from which a reader is warned"""
FACTORS = {"init_seed": "init", "order_seed": "order"}


@dataclasses.dataclass(frozen=True)
class StudyWarning:
    """One warning: its rule, its message with the remedy, and its group.

    ``group`` is None for a warning about several groups.
    """

    rule: str
    message: str
    group: Group | None = None


def study_warnings(
    study: Study,
    *,
    informative: Mapping[Group, int] | None = None,
    drawn: Mapping[Group, int] | None = None,
    shares: Mapping[Group, Mapping[str, tuple[float, float]]] | None = None,
) -> list[StudyWarning]:
    """All warnings about a study, group by group, then between groups.

    Parameters
    ----------
    study : Study
    informative : mapping of Group to int, optional
        Largest n at which the best-of-n band of the group is informative.
    drawn : mapping of Group to int, optional
        Largest n at which a band is drawn; by default the number of runs.
    shares : mapping of Group to mapping of "init" and "order" to (lower, upper), optional
        Intervals of the shares in the variance; NaN where there are none.
    """
    found: list[StudyWarning] = []
    for key, part in study.groups():
        found += one_seed(key, part)
        if seeds_move_together(part.runs):
            # Their grid is a diagonal: neither its levels nor its empty cells mean anything.
            found.append(StudyWarning("seeds move together", TOGETHER, key))
        else:
            found += few_levels(key, part)
            found += wide_share(key, (shares or {}).get(key, {}))
            found += incomplete_grid(key, part)
        found += incomplete_runs(key, part)
        found += same_split(key, part)
        found += some_untested(key, part)
        found += unjudged_failures(key, part)
        found += unknown_tokens(key, part)
        if informative is not None and key in informative:
            n = len(part.complete_runs())
            end = n if drawn is None else drawn.get(key, n)
            found += band_beyond_limit(key, end, informative[key])
    found += [*test_scores(study), *untested_runs(study)]
    found += best_against_mean(study)
    found += unequal_runs(study)
    return found


def one_seed(key: Group, part: Study) -> Iterator[StudyWarning]:
    """One run only, or one level of a factor only."""
    runs = part.complete_runs()
    if len(runs) <= 1:
        yield StudyWarning(
            "one seed",
            f"there is {len(runs) or 'no'} complete run: one score says "
            "nothing about the variation between seeds. Train at least five runs.",
            key,
        )
        return
    for column, name in FACTORS.items():
        if runs[column].nunique() == 1:
            yield StudyWarning(
                "one seed",
                f"all runs have one {name} seed: the variance that {name} causes is "
                "unknown, and no interval covers it. Vary the seed.",
                key,
            )


def few_levels(key: Group, part: Study) -> Iterator[StudyWarning]:
    """Fewer than ten levels of a factor: its variance component is poorly determined."""
    runs = part.complete_runs()
    for column, name in FACTORS.items():
        levels = runs[column].nunique()
        if 1 < levels < FEW_LEVELS:
            yield StudyWarning(
                "few levels",
                f"there are {levels} {name} seeds: the share of variance due to {name} is poorly "
                f"determined below {FEW_LEVELS}. Rely on its interval (if there is one), not on its "
                "estimate.",
                key,
            )


def wide_share(key: Group, shares: Mapping[str, tuple[float, float]]) -> Iterator[StudyWarning]:
    """The interval of a factor's share is wider than one half; `shares` holds its limits."""
    wide = [
        f"{name} goes from {lower:.2f} to {upper:.2f}"
        for name, (lower, upper) in shares.items()
        if upper - lower > WIDE_SHARE
    ]
    if wide:
        yield StudyWarning(
            "wide interval",
            f"the 95% interval of the share of {' and that of '.join(wide)}: the data hardly "
            "determine it. Train more seeds of each kind.",
            key,
        )


def incomplete_grid(key: Group, part: Study) -> Iterator[StudyWarning]:
    """Cells without a complete run."""
    grid = part.grid()
    missing = int(grid.isna().to_numpy().sum())
    if missing:
        yield StudyWarning(
            "incomplete grid",
            f"{missing} of {grid.size} cells of the {grid.shape[0]} x {grid.shape[1]} grid have "
            "no complete run. If they are missing because of their scores, every mean is biased.",
            key,
        )


def incomplete_runs(key: Group, part: Study) -> Iterator[StudyWarning]:
    """Runs that were stopped early or have not ended."""
    runs = part.incomplete_runs()
    if len(runs):
        kinds = ", ".join(f"{n} {status}" for status, n in runs["status"].value_counts().items())
        selected = (
            "The others were selected by their scores, so nothing is estimated from the final scores "
            "of this group."
            if is_selected(part)
            else "They are in no mean, variance or comparison. If they are missing because of their "
            "scores, these estimates are biased."
        )
        yield StudyWarning(
            "stopped runs", f"{len(runs)} runs did not end ({kinds}). {selected}", key
        )


def same_split(key: Group, part: Study) -> Iterator[StudyWarning]:
    """The best evaluation is chosen and reported on the same split."""
    runs = part.complete_runs()
    tested = "test_score" in runs and bool(runs["test_score"].notna().any())
    kept = keeps_best(runs)
    selected = kept or bool((runs["score"] != runs["final_score"]).any())
    if selected and not tested:
        split = str(runs["split"].iloc[0]) if "split" in runs else "same"
        yield StudyWarning(
            "same split",
            f"a run's score is its best evaluation, chosen and reported on the {split} split: it "
            f"is optimistic. Report a held-out split{'' if kept else ', or the final score'}.",
            key,
        )


def some_untested(key: Group, part: Study) -> Iterator[StudyWarning]:
    """Some runs of a group have a test score and others have none."""
    runs = part.complete_runs()
    if "test_score" not in runs or part.score == "test":
        return
    gap = runs["test_score"].isna()
    if gap.any() and not gap.all():
        text = untested_text(runs.loc[gap], len(runs), "the price of choosing")
        yield StudyWarning("no test score", text, key)


def test_scores(study: Study) -> Iterator[StudyWarning]:
    """Test scores are analysed, and some results are about the validation set all the same."""
    if study.score == "test":
        yield StudyWarning(
            "test scores",
            "the scores of runs are test scores. Failures, the noise floor, curves, early stopping, "
            "final scores beside training losses, and predictions are about the validation set. A run "
            "or a recipe that is chosen by its test score looks too good.",
        )


def untested_runs(study: Study) -> Iterator[StudyWarning]:
    """Runs that are left out because they have no test score, group by group."""
    if study.untested is None:
        return
    sizes = study.complete_runs().groupby(list(GROUP_COLUMNS)).size()
    for key, gap in study.untested.groupby(list(GROUP_COLUMNS), sort=False):
        named = Group(*map(str, key))
        text = untested_text(gap, int(sizes.get(key, 0)) + len(gap), "all estimates")
        yield StudyWarning("no test score", f"on {named.task}, {_name(named)}: {text}")


def unjudged_failures(key: Group, part: Study) -> Iterator[StudyWarning]:
    """No majority value and no mark: failed runs cannot be recognised."""
    runs = part.complete_runs()
    if len(runs) and runs["majority"].isna().all() and not runs["failed"].any():
        yield StudyWarning(
            "unjudged failures",
            "the majority value is unknown and no run is marked as failed: a failure rate of 0 "
            "is no evidence. Give the majority value.",
            key,
        )


def unknown_tokens(key: Group, part: Study) -> Iterator[StudyWarning]:
    """Texts in words that the tokenizer does not know."""
    columns = [c for c in ("unknown_tokens", "unknown_tokens_train") if c in part.runs]
    shares = part.runs[columns].max()
    if bool((shares >= MANY_UNKNOWN).any()):
        names = {"unknown_tokens": "validation", "unknown_tokens_train": "training"}
        told = " and ".join(f"{shares[c]:.0%} of the {names[c]} tokens" for c in columns)
        yield StudyWarning(
            "unknown tokens",
            f"{told} are unknown to the tokenizer: the model sees one symbol in their place, and the "
            "scores say little about the task. Use a model that was pre-trained on such texts.",
            key,
        )


def band_beyond_limit(key: Group, drawn: int, informative: int) -> Iterator[StudyWarning]:
    """A best-of-n band that is drawn beyond its informative range."""
    if drawn > informative:
        yield StudyWarning(
            "band beyond limit",
            f"the band of the best-of-n curve is informative up to n = {informative}, but was "
            f"requested up to n = {drawn}. It is cut there; train more runs to extend it.",
            key,
        )


def best_against_mean(study: Study) -> Iterator[StudyWarning]:
    """A single score against a sample: it may be the best of many runs."""
    for task, sizes in _sizes(study).items():
        single = [key for key, n in sizes.items() if n == 1]
        many = [key for key, n in sizes.items() if n > 1]
        for one, other in itertools.product(single, many):
            yield StudyWarning(
                "best against mean",
                f"on {task}, {_name(one)} is a single score, compared with {sizes[other]} runs of "
                f"{_name(other)}. If it is the best of several runs, compare it with the best of "
                "as many, never with a mean.",
            )


def unequal_runs(study: Study) -> Iterator[StudyWarning]:
    """Numbers of runs so different that the best scores cannot be compared."""
    for task, sizes in _sizes(study).items():
        for a, b in itertools.combinations(sizes, 2):
            few, more = sorted((a, b), key=lambda key: sizes[key])
            if sizes[few] > 1 and sizes[more] >= UNEQUAL_RATIO * sizes[few]:
                yield StudyWarning(
                    "unequal runs",
                    f"on {task}, {_name(more)} has {sizes[more]} runs and {_name(few)} "
                    f"{sizes[few]}: the best of more runs is better by luck alone. Compare means, "
                    "or the best of equally many.",
                )


def _sizes(study: Study) -> dict[str, dict[Group, int]]:
    by_task: dict[str, dict[Group, int]] = {}
    for key, part in study.groups():
        by_task.setdefault(key.task, {})[key] = len(part.complete_runs())
    return by_task


def _name(key: Group) -> str:
    return f"{key.recipe} ({key.model})"
