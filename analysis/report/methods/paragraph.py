"""The paragraph on methods: sentences about what the tables of this report hold, and no others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from analysis.comparison.mean_difference import primary_test
from analysis.formatting import count
from analysis.report.methods.sources import SOURCES, Publication
from analysis.report.results.group_results import GroupResults

SCORES = {
    "best": "its best evaluation on the validation set after the first update",
    "final": "its last evaluation on the validation set",
    "test": "its score on the test set",
}
MEANS = {
    "grid": "The 95% interval of a mean over a grid follows from the variance components of both seeds "
    "[searle1992], with the degrees of freedom of [=satterthwaite1946].",
    "incomplete grid": "The 95% interval of a mean over a grid with missing cells follows from "
    "variance components by method III of [=henderson1953].",
    "independent": "The 95% interval of a mean over runs that share no seed is Student's.",
    "one shared seed": "The 95% interval of a mean over runs that share a seed is Student's and "
    "conditional on that seed.",
}
TESTS = {
    "crossed": "by a test for crossed seeds: the variance of the mean difference follows from the mean "
    "squares of rows, columns and cells, with the degrees of freedom of [=satterthwaite1946]",
    "paired": "by t tests of pairs of runs with the same seeds",
    "welch": "by the t test of [=welch1947]",
}
CITED = re.compile(r"\[(=?)([a-z0-9, ]+)\]")


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A text and its sources, in the order of their first citation."""

    text: str
    sources: tuple[Publication, ...]

    def markdown(self) -> str:
        """The paragraph and a list of references."""
        return "\n".join([self.text, "", *(f"- {s.reference}" for s in self.sources), ""])

    def bibtex(self) -> str:
        """The entries of all sources."""
        return "\n\n".join(s.bibtex() for s in self.sources) + "\n"


def methods(
    groups: Sequence[GroupResults], tables: Mapping[str, pd.DataFrame], permutations: int
) -> Paragraph:
    """The methods that this report used.

    Parameters
    ----------
    groups : sequence of GroupResults
    tables : mapping of file name to DataFrame
        All tables of the report.
    permutations : int
        Shuffles of a permutation test.

    Returns
    -------
    Paragraph
        Without sentences and sources on methods that no table of the report needs.
    """
    sentences = [
        *_runs(groups),
        *_failures(groups, tables),
        *_means(tables),
        *_variance(tables, permutations),
        *_best_of_n(tables),
        *_budgets(tables),
        *_choosing(groups, tables),
        *_ensembles(tables),
        *_stopping(tables),
        *_comparisons(tables),
        *_sweeps(tables),
        *_predictions(tables),
        *_training(groups, tables),
    ]
    text = " ".join(sentences)
    keys = [key for match in CITED.finditer(text) for key in match[2].split(", ")]
    sources = tuple(SOURCES[key] for key in dict.fromkeys(keys))
    return Paragraph(CITED.sub(_citation, text), sources)


def _citation(match: re.Match[str]) -> str:
    """``[key]`` in parentheses, ``[=key]`` as part of the sentence."""
    cited = [SOURCES[key].citation for key in match[2].split(", ")]
    if match[1]:
        names, _, year = cited[0].rpartition(" ")
        return f"{names} ({year})"
    return f"({'; '.join(cited)})"


def _runs(groups: Sequence[GroupResults]) -> Iterator[str]:
    known = [group for group in groups if group.table("means") is not None]
    if not known:
        return
    sizes = [int(group.tables["means"]["n_runs"].iloc[0]) for group in known]
    text = f"We analysed {count(sum(sizes), 'run')} that were trained to their end"
    if len(known) > 1:
        each = f"{min(sizes)}" if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
        text += f", {each} for each of {len(known)} settings of task, model and recipe"
    yield f"{text}."
    if any(group.together for group in known):
        yield "One seed decided both the initial weights and the data order of a run."
    grids = {
        f"{group.runs['init_seed'].nunique()} x {group.runs['order_seed'].nunique()}"
        for group in known
        if "grid" in str(group.tables["means"]["design"].iloc[0])
    }
    if grids:
        yield (
            "Seeds of weight initialisation were crossed with seeds of data order "
            f"({' and '.join(sorted(grids))} seeds), as in [=dodge2020]."
        )
    metrics = ", ".join(dict.fromkeys(g.metric for g in known if g.metric != "score"))
    named = f" ({metrics})" if metrics else ""
    yield f"The score of a run{named} is {SCORES[known[0].study.score]}."


def _failures(groups: Sequence[GroupResults], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    table = tables.get("failure_rates")
    if table is None or not (judged := table.loc[table["judged"]]).shape[0]:
        return
    rules = {rule for g in groups if "failed_rule" in g.runs for rule in g.runs["failed_rule"]}
    chance = " or its own predictions, shuffled among the examples" if "chance" in rules else ""
    yield (
        f"A run failed if its final score did not beat the majority classifier{chance}: "
        f"{judged['n_failed'].sum()} of {count(int(judged['n_runs'].sum()), 'run')}. Failed runs count with their scores."
    )
    text = "Failure rates have 95% intervals of [=wilson1927]"
    if (judged["n_effective"] < judged["n_runs"]).any():
        text += ", with the effective number of runs where runs share seeds [korn1998]"
    yield f"{text}."


def _means(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    table = tables.get("means")
    if table is not None:
        known = table.loc[table["lower"].notna(), "design"]
        yield from (text for design, text in MEANS.items() if (known == design).any())


def _variance(tables: Mapping[str, pd.DataFrame], permutations: int) -> Iterator[str]:
    table = tables.get("variance")
    if table is not None and table["share_lower"].notna().any():
        yield (
            "Shares of the seeds in the variance of scores are estimated by method III of "
            "[=henderson1953], with jackknife intervals over rows and columns."
        )
    tests = tables.get("tests")
    if tests is not None and tests["p_value"].notna().any():
        yield (
            "Whether a seed matters is tested by permuting its levels within the levels of the other "
            f"seed ({permutations:,} shuffles, or all arrangements of a small grid)."
        )


def _best_of_n(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    table = tables.get("expected_max")
    if table is None or table.empty:
        return
    yield "The expected best score of n runs is the unbiased estimate of [=tang2020]."
    if table["band_lower"].notna().any():
        yield (
            "Its bands are simultaneous 95% bands of the median of the best of n, from bands of the "
            "distribution of scores [lourie2024]."
        )


def _budgets(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    if "best_of_compute" in tables:
        yield "The cost of n runs is n times the mean cost of a run [dodge2019]."


def _choosing(groups: Sequence[GroupResults], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    table = tables.get("choosing")
    if table is not None:
        text = (
            "Expected validation and test scores of the run that is best on the validation set among n "
            "are exact averages over all subsets of n runs"
        )
        if table["test_lower"].notna().any():
            crossed = any(
                "grid" in str(group.tables["means"]["design"].iloc[0])
                for group in groups
                if group.table("choosing") is not None
            )
            text += f", with intervals by a bootstrap over seeds{' [owen2007]' if crossed else ''}"
        yield f"{text}."
    evaluations = tables.get("choosing_evaluations")
    if evaluations is not None:
        yield (
            f"Within a run, the best of up to {int(evaluations['n'].max())} evaluations on the validation "
            "set is compared with the last one."
        )


def _ensembles(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    table = tables.get("ensembles")
    if table is None or table.empty:
        return
    ways = set(table["method"])
    names = {"average": "mean prediction", "vote": "majority vote", "ranks": "mean rank"}
    used = " and ".join(name for way, name in names.items() if way in ways)
    subsets = "all choices" if table["exact"].all() else "all or 1,000 random choices"
    text = f"Expected scores of the {used} of k runs are averages over {subsets} of k runs"
    if table["lower"].notna().any():
        text += (
            ", with intervals for seeds drawn anew from the effects of single runs [hoeffding1948]"
        )
    yield f"{text}."


def _stopping(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    savings = tables.get("early_stopping_saving")
    table = tables.get("early_stopping")
    if table is not None and not table.empty:
        yield (
            "The value of starting many runs and continuing the best ones [dodge2020] is an exact "
            "expectation over draws from the recorded curves."
        )
    if savings is not None and not savings.empty:
        yield (
            "A saving is claimed where plans that are chosen on one half of the runs hold on the other "
            "half with a margin, for the budget and for every larger one [maurer1995]."
        )


def _comparisons(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    found = [tables.get(f"comparison_{by}") for by in ("recipe", "model")]
    rows = [row for table in found if table is not None for row in table.to_dict("records")]
    if not rows:
        return
    used = {primary_test(row)[0] for row in rows}
    ways = [text for name, text in TESTS.items() if name in used]
    yield (
        f"Mean scores are compared {', elsewhere '.join(ways)}. P-values are corrected for "
        f"{count(len(rows), 'comparison')} after [=holm1979]."
    )
    if any(pd.notna(row.get("rowcol_p")) for row in rows):
        yield (
            "A second p-value comes from exchanging the recipes in whole rows and columns of the common "
            "grid."
        )
    yield "The probability that one side beats the other is judged by the rule of [=bouthillier2021]."
    yield "Stochastic dominance is measured by the violation ratio of [=dror2019]."


def _sweeps(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    if "sweep" in tables and tables["sweep"]["p_holm"].notna().any():
        yield "The best value of a sweep is tested against the others, corrected for all pairs [holm1979]."


def _predictions(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    if "instability" in tables:
        yield (
            "The disagreement of two runs is the share of examples on which they predict different "
            "classes [milanifard2016]; for predicted numbers it is their mean absolute difference."
        )
    found = [table for name, table in tables.items() if name.startswith("multi_bootstrap")]
    if not found:
        return
    text = "Differences over seeds and examples have intervals by the multi-bootstrap [sellam2022]"
    if any("n_clusters" in table and (table["n_clusters"] > 0).any() for table in found):
        text += ", which resamples clusters of examples whole; clustered errors follow [=liang1986]"
    yield f"{text}."


def _training(groups: Sequence[GroupResults], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    floor = tables.get("noise_floor")
    if floor is not None and not floor.empty:
        yield (
            "The noise floor of a score on a finite evaluation set is that of calibrated, equally good "
            "runs [jordan2024]."
        )
    late = tables.get("late_noise")
    if late is not None and late["noise_steps"].notna().any():
        yield (
            "The noise of late evaluations is that around the straight line of each run in the last third "
            "of its training, after [=heineman2025]."
        )
    if "robust_means" in tables:
        yield "Interquartile means over tasks follow [=agarwal2021]."
    if any(group.table("uncorrected") is not None for group in groups):
        yield (
            "The effect of a missing bias correction is the ratio of corrected to uncorrected updates "
            "[mosbach2021, zhang2021]."
        )
