"""The tables that the report computes for one group of runs, and reasons for missing ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.best_of_n.expected_max_table import expected_max_table, tabulated_ns
from analysis.comparison.instability import instability
from analysis.data.analysed_score import has_test_scores, last_scores
from analysis.data.curves import curve_pools
from analysis.data.early_stopped import is_selected, selection_text, unselected
from analysis.data.seed_design import TOGETHER, seeds_move_together
from analysis.data.study import Group, Study
from analysis.ensembles.table import ensemble_table
from analysis.errors import AnalysisError
from analysis.formatting import digits_for
from analysis.report.results.choosing import choosing_tables
from analysis.report.results.stopping_results import TABLES, stopping_tables
from analysis.rounding import spread, varies
from analysis.training.bias_correction import uncorrected_schedules
from analysis.training.final_losses import final_losses
from analysis.training.layer_profiles import DISTANCE, GRADIENT, distances_at_end, profile_medians
from analysis.training.run_similarity import run_similarity
from analysis.variance.components import seed_spreads, variance_components
from analysis.variance.failure_rates import failure_rates
from analysis.variance.mean_interval import mean_interval, mean_table
from analysis.variance.noise_floor import noise_floor
from analysis.variance.permutation import factor_tests
from analysis.variance.seed_effects import best_and_worst_seeds, seed_means

PERMUTATIONS = 9_999
# A shuffle moves every run. This many moves take seconds: 9,999 shuffles of 2,000 runs.
MOST_MOVES = 20_000_000
# Above this many runs the exact band takes too long: its cost is size times band width.
LARGEST_EXACT_BAND = 2_500
# Pairs grow with the square: 190 of 20 runs, at every layer.
MOST_COMPARED = 20


@dataclasses.dataclass
class GroupResults:
    """The tables of one (task, model, recipe), by name, and the reasons for missing ones.

    ``tables`` may hold ``means, failure, floor, variance, spreads, tests, published_tests,
    seed_means, extremes, expected_max, choosing, choosing_evaluations, choosing_both, ensembles,
    early_stopping, saving, rank_correlation, replay, instability, final_losses, uncorrected,
    distances, distance_medians,
    gradient_medians, similarity``; a table that could not be made has its reason in ``missing``.
    """

    key: Group
    label: str
    stem: str
    study: Study
    recorded: Study = dataclasses.field(init=False)
    tables: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorded, self.study = self.study, unselected(self.study)

    @property
    def runs(self) -> pd.DataFrame:
        """The complete runs."""
        return self.study.complete_runs()

    @property
    def together(self) -> bool:
        """Whether init and order seeds move together, so that there is no grid."""
        return seeds_move_together(self.recorded.runs)

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return str(self.study.runs["metric"].iloc[0])

    @property
    def up(self) -> bool:
        """Whether higher is better."""
        return bool(self.study.runs["higher_is_better"].iloc[0])

    @property
    def scores(self) -> pd.Series:
        """Scores of the complete runs."""
        return self.runs["score"].astype("float64")

    @property
    def digits(self) -> int:
        """Decimals for the scores of the group."""
        return digits_for(spread(self.scores))

    @property
    def does_vary(self) -> bool:
        """Whether the scores differ by more than rounding."""
        return varies(self.scores)

    def reason(self, name: str) -> str:
        """The reason why a table is missing."""
        return self.missing.get(name) or self.missing.get("all") or "there are too few runs."

    def table(self, name: str) -> pd.DataFrame | None:
        """A table that exists and has rows, or None."""
        table = self.tables.get(name)
        return None if table is None or table.empty else table

    def attempt(self, name: str, make: Callable[[], pd.DataFrame]) -> None:
        """Make a table, or note why the data do not allow it."""
        try:
            table = make()
        except AnalysisError as error:
            self.missing[name] = str(error)
            return
        self.tables[name] = table


def analyse_group(
    key: Group, label: str, stem: str, study: Study, seed: np.random.SeedSequence
) -> GroupResults:
    """All tables of one group; `seed` decides every shuffle and bootstrap in it."""
    group = GroupResults(key, label, stem, study)
    recorded, study = group.recorded, group.study
    # One stream per table, so that adding one does not change the others.
    streams = iter(np.random.default_rng(child) for child in seed.spawn(8))
    if group.runs.empty:
        group.missing["all"] = (
            selection_text(recorded)
            if is_selected(recorded)
            else "no run of this group was trained to its end."
        )
        return group
    group.attempt("means", lambda: mean_table(study))
    group.attempt("failure", lambda: failure_rates(study))
    group.attempt("floor", lambda: noise_floor(study))
    group.attempt("instability", lambda: instability(study))
    if group.runs["failed"].all():
        # Shares of scores at chance would be taken for properties of training.
        group.missing["variance"] = (
            "every run failed, so the scores carry no information on training."
        )
    else:
        group.attempt("variance", lambda: variance_components(study))
        group.attempt("spreads", lambda: seed_spreads(study))
    generator, published = next(streams), next(streams)
    shuffles = shuffles_for(len(group.runs))
    if group.together:
        tables = ("seed_means", "extremes", "tests", "published_tests")
        group.missing.update(dict.fromkeys(tables, TOGETHER))
    else:
        group.attempt("seed_means", lambda: seed_means(study))
        group.attempt("extremes", lambda: best_and_worst_seeds(study))
        group.attempt("tests", lambda: factor_tests(study, generator, permutations=shuffles))
        group.attempt(
            "published_tests",
            lambda: factor_tests(study, published, permutations=shuffles, method="dodge2020"),
        )
    halves, orders, choosing, ensembles, savings, choosing_both = streams
    _of_curves(group, (halves, savings, orders))
    _of_choosing(group, choosing, choosing_both)
    group.attempt("ensembles", lambda: ensemble_table(study, ensembles))
    analyse_training(group)
    return group


def shuffles_for(n_runs: int) -> int:
    """Shuffles of a permutation test: 9,999 up to 2,000 runs, fewer beyond, at least 199."""
    return max(199, min(PERMUTATIONS, MOST_MOVES // max(n_runs, 1)))


def analyse_training(group: GroupResults) -> None:
    """Add the tables on training itself: losses at the end, optimiser, diagnostics by layer."""
    study, named = group.study, group.key._asdict()
    group.attempt("final_losses", lambda: final_losses(study))
    group.attempt("uncorrected", lambda: uncorrected_schedules(study))
    group.attempt("distances", lambda: distances_at_end(study))
    group.attempt("distance_medians", lambda: profile_medians(study, DISTANCE))
    group.attempt("gradient_medians", lambda: profile_medians(study, GRADIENT))
    group.attempt(
        "similarity", lambda: run_similarity(study, most_runs=MOST_COMPARED).assign(**named)
    )


def _of_curves(
    group: GroupResults,
    generators: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
) -> None:
    lower = not group.up
    named = {"task": group.key.task, "recipe": recipe_name(group)}
    runs = group.runs.assign(**named)
    bare = group.study.complete_curves()
    curves = None if bare is None else bare.assign(**named)
    tested = group.study.score == "test"
    # Curves are those of the validation set. Without them a best score stands for all evaluations.
    last = runs["score"] if tested else last_scores(runs, curves)
    ends = runs.assign(score=last).drop(columns="model")
    kept = curves
    if tested:
        kept = None
    elif curves is None and (runs["best_score"] != runs["final_score"]).any():
        kept = runs[["run", "task", "recipe"]].assign(fraction=1.0, score=runs["best_score"])

    def best_of_n(curves: pd.DataFrame | None) -> pd.DataFrame:
        exact = len(runs) <= LARGEST_EXACT_BAND
        return expected_max_table(
            ends,
            curves,
            ns=tabulated_ns(len(runs)),
            band_method="ld_highest_density" if exact else "dkw",
            lower_is_better=lower,
            effective=lambda part: mean_interval(part).effective,
        )

    group.attempt("expected_max", lambda: best_of_n(kept))
    if "expected_max" in group.missing:
        # Curves of some runs only: the score at the end can still be used.
        group.attempt("expected_max", lambda: best_of_n(None))
    if curves is None:
        reason = (
            "there are no evaluations during training. Record them (or give a long table with a "
            "column 'fraction') to estimate the value of early stopping."
        )
        group.missing.update(dict.fromkeys(TABLES, reason))
        return
    try:
        pools = list(curve_pools(curves, lower_is_better=lower))
    except AnalysisError as error:
        # A refusal of curves that end early or follow several schedules; a reason to print.
        group.missing.update(dict.fromkeys(TABLES, str(error)))
        return
    if len(runs) < 2 or pools[0].scores.shape[1] < 2:
        reason = "early stopping needs at least two runs with two evaluations each."
        group.missing.update(dict.fromkeys(TABLES, reason))
        return
    makers = stopping_tables(
        curves, generators, perfect_score=perfect_score(group), lower_is_better=lower
    )
    for name, make in makers.items():
        group.attempt(name, make)


def _of_choosing(group: GroupResults, *generators: np.random.Generator) -> None:
    if group.study.score == "test" or not has_test_scores(group.runs):
        return
    runs, curves = group.runs.assign(recipe=recipe_name(group)), group.study.complete_curves()
    for name, make in choosing_tables(runs, curves, generators, not group.up).items():
        group.attempt(name, make)


def recipe_name(group: GroupResults) -> str:
    """The recipe in tables that have no column for the model: with the model where it matters."""
    if group.label.endswith(f", {group.key.model}"):
        return f"{group.key.recipe} ({group.key.model})"
    return group.key.recipe


def perfect_score(group: GroupResults) -> float:
    """The score without error: 0 or 1, or 100 for percentages; NaN where it is unknown."""
    if not group.up:
        return 0.0
    top = float(group.study.runs["score"].abs().max())
    return 1.0 if top <= 1.0 else (100.0 if top <= 100.0 else math.nan)
