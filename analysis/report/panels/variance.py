"""Panels on the variance of scores: shares, means of the seeds, best and worst seeds."""

from __future__ import annotations

import math

import pandas as pd

from analysis.figures.densities import best_worst_densities
from analysis.figures.seeds import seed_ranking, variance_shares
from analysis.figures.theme import Chart
from analysis.formatting import SHUFFLED, number, p_value, percent, too_small_to_tell
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure
from analysis.variance.components import SUBSETS

NO_VARIATION = "The score does not vary between these runs."


class VarianceShares(GroupFigure):
    """Shares of the variance due to init, order and the rest."""

    id = "variance"
    title = "shares of the variance"

    def applies(self, group: GroupResults) -> bool:
        """Whether a share is known."""
        shares = _shares(group)
        return shares is not None and not shares.empty

    def missing(self, group: GroupResults) -> str:
        """The reason why no share is known."""
        table = group.table("variance")
        reason = group.missing.get("variance") or group.missing.get("all", "")
        if table is not None:
            reason = str(table["note"].iloc[0])
        return f"no variance shares with intervals; {reason}"

    def caption(self, group: GroupResults) -> str:
        """The effect of leaving out failed runs, and the spread with one seed fixed."""
        return variance_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `variance_shares`; a row per subset of the runs."""
        shares = _shares(group)
        assert shares is not None
        return variance_shares(shares, list(shares["subset"]))


class SeedRanking(GroupFigure):
    """Means of the seeds in order of rank, with chance bands."""

    id = "seeds"
    title = "means of the seeds"

    def applies(self, group: GroupResults) -> bool:
        """Whether there are two complete runs or more."""
        return group.table("seed_means") is not None and len(group.runs) > 1

    def caption(self, group: GroupResults) -> str:
        """The tests of both factors, and the seeds with the best and worst means."""
        return f"{tests_caption(group)} {seed_means_caption(group)}".strip()

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `seed_ranking`."""
        return seed_ranking(group.study, group.tables["seed_means"], report.bands_generator(group))


class ExtremeSeeds(GroupFigure):
    """Scores of the best and the worst seed of each factor."""

    id = "extremes"
    title = "best and worst seeds"

    def applies(self, group: GroupResults) -> bool:
        """Whether best and worst seeds are known."""
        return group.table("extremes") is not None

    def caption(self, group: GroupResults) -> str:
        """The difference of their means, with a warning that they were selected."""
        return extremes_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `best_worst_densities`."""
        return best_worst_densities(group.tables["extremes"], metric=group.metric)


def _shares(group: GroupResults) -> pd.DataFrame | None:
    """Rows with a share and its interval; those without failed runs only where a run failed."""
    table = group.table("variance")
    if table is None:
        return None
    shares = table.dropna(subset=["share", "share_lower"])
    if group.runs["failed"].any():
        return shares
    return shares.loc[shares["subset"] == "all runs"]


def variance_caption(group: GroupResults) -> str:
    """The shares with and without failed runs, and the spread with one seed fixed."""
    table = group.table("variance")
    if not group.does_vary:
        return NO_VARIATION
    parts = []
    if table is not None:
        share = table.set_index(["subset", "component"])["share"]
        pairs = [(subset, c) for c in ("init", "order") for subset in SUBSETS[:2]]
        if group.runs["failed"].any() and all(pair in share.index for pair in pairs):
            parts.append(
                "Leaving out failed runs, the share of init goes from {} to {} and that of order "
                "from {} to {}.".format(*(percent(float(share[pair])) for pair in pairs))
            )
        whole = table.loc[table["subset"] == SUBSETS[0]]
        if whole["share"].notna().any() and whole["share_lower"].isna().all():
            parts.append(
                "The grid gives no intervals, so these shares are estimates of unknown error: "
                f"{whole['note'].iloc[0]}"
            )
    if group.study.dropout_follows_order():
        parts.append("Order holds the dropout masks too, whose seed follows the order seed.")
    spreads = group.table("spreads")
    if spreads is not None:
        row = spreads.iloc[0]
        d = group.digits
        if math.isfinite(row["sd_given_init"]):
            parts.append(
                f"With the init seed fixed the standard deviation is {number(row['sd_given_init'], d)}, "
                f"with the order seed fixed {number(row['sd_given_order'], d)}, overall "
                f"{number(row['sd_overall'], d)}."
            )
    return " ".join(parts)


def tests_caption(group: GroupResults) -> str:
    """The test of each factor, and the result of the published comparison."""
    if not group.does_vary:
        return NO_VARIATION
    tests, published = group.table("tests"), group.table("published_tests")
    parts = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        p, floor = _p_of(tests, factor, "restricted permutation")
        if not math.isfinite(p):
            continue
        if too_small_to_tell(floor):
            parts.append(
                f"The grid is too small to tell whether the {name} seeds differ: no arrangement "
                f"of these scores gives a p-value below {floor:.2g} (p = {p:.2g})."
            )
            continue
        verdict = "differ more than chance allows" if p < 0.05 else "do not differ beyond chance"
        text = f"The {name} seeds {verdict} ({p_value(p, min(floor, SHUFFLED))})"
        naive, _ = _p_of(published, factor, "best against worst, naive")
        aware, least = _p_of(published, factor, "best against worst, selection-aware")
        if math.isfinite(naive) and math.isfinite(aware):
            text += (
                f"; comparing the best with the worst of them after sorting gives "
                f"{p_value(naive)}, and {p_value(aware, min(least, SHUFFLED))} once the selection "
                "is accounted for"
            )
            if too_small_to_tell(least):
                text += f" (at this size at least {least:.2g})"
        parts.append(text + ".")
    return " ".join(parts)


def seed_means_caption(group: GroupResults) -> str:
    """The seeds with the best and the worst means."""
    table = group.table("seed_means")
    if table is None or not group.does_vary:
        return ""
    d = group.digits
    parts = []
    for factor, name in (("init_seed", "init"), ("order_seed", "order")):
        means = table.loc[table["factor"] == factor].sort_values("rank")
        if len(means) > 1:
            first, last = means.iloc[0], means.iloc[-1]
            parts.append(
                f"{name} {first['seed']} has the best mean ({number(first['mean'], d)}) and "
                f"{name} {last['seed']} the worst ({number(last['mean'], d)})"
            )
    if not parts:
        return ""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def extremes_caption(group: GroupResults) -> str:
    """The difference of the best and the worst seed, with a warning about the selection."""
    table = group.table("extremes")
    if table is None:
        return ""
    if not group.does_vary:
        return NO_VARIATION
    d = group.digits
    mean = {key: float(m) for key, m in table.groupby(["factor", "place"])["score"].mean().items()}
    parts = [
        f"{number(abs(mean[factor, 'best'] - mean[factor, 'worst']), d)} for {name}"
        for factor, name in (("init_seed", "init"), ("order_seed", "order"))
        if (factor, "best") in mean
    ]
    return (
        f"The means of the best and the worst seed differ by {' and '.join(parts)}. They were selected "
        "for being extreme: seeds without any effect would differ, too."
    )


def _p_of(table: pd.DataFrame | None, factor: str, test: str) -> tuple[float, float]:
    """A test's p-value and the smallest that it could give; NaN without the test."""
    if table is None:
        return math.nan, math.nan
    row = table.loc[(table["factor"] == factor) & (table["test"] == test)]
    if row.empty:
        return math.nan, math.nan
    return float(row["p_value"].iloc[0]), float(row["p_floor"].iloc[0])
