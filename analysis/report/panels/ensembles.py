"""What to do with several runs: choose one, average their predictions, let them vote."""

from __future__ import annotations

import math

import pandas as pd

from analysis.data.frames import row_dict
from analysis.figures.ensembles import ensemble_figure
from analysis.figures.theme import Chart
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure

SHOWN_K = 5
ON = {"dev": "validation set", "test": "test set"}
ACTIONS = {
    "average": "averaging the predictions of {runs}",
    "vote": "a majority vote of {k}",
    "ranks": "averaging the ranks of {k}",
    "best": "choosing the best of {k} on the validation set",
}


class Ensembles(GroupFigure):
    """Expected score of k runs, by what is done with them."""

    id = "ensembles"

    def applies(self, group: GroupResults) -> bool:
        """Whether two runs or more have predictions that the metric can score."""
        return group.table("ensembles") is not None

    def missing(self, group: GroupResults) -> str:
        """The reason why the predictions can't be scored."""
        return group.missing.get("ensembles", "")

    def caption(self, group: GroupResults) -> str:
        """The gain of every method at k = 5."""
        return ensembles_caption(group)

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """See `ensemble_figure`; on the test set where there is one."""
        shown = _shown(group.tables["ensembles"])
        return ensemble_figure(shown, metric=f"{group.metric} on the {_place(shown)}")


def ensembles_caption(group: GroupResults) -> str:
    """What averaging, voting and choosing gain over a mean run, with intervals."""
    table = group.table("ensembles")
    if table is None:
        return ""
    shown, d = _shown(table), max(group.digits, 3)
    k = SHOWN_K if (shown["k"] == SHOWN_K).any() else int(shown["k"].max())
    part = shown.loc[shown["k"] == k].set_index("method")
    texts = []
    for method, action in ACTIONS.items():
        if method in part.index:
            row = row_dict(part.loc[[method]], 0)
            gain = f"{float(row['gain']):+.{d}f}"
            if math.isfinite(row["gain_lower"]):
                gain += f" (95% interval {row['gain_lower']:+.{d}f} to {row['gain_upper']:+.{d}f})"
            texts.append(f"{action.format(runs=count(k, 'run'), k=k)} gives {gain}")
    over = f" over a mean run, which has {number(float(part['mean_run'].iloc[0]), d)} on the {_place(shown)}"
    first, *others = texts
    text = "; ".join([f"{first[0].upper()}{first[1:]}{over}", *others]) + "."
    if not group.up:
        text += f" A gain is a lower {group.metric}."
    if not (exact := part["exact"].astype("bool")).all():
        drawn = part.loc[~exact]
        text += (
            f" Averages and votes are over {int(drawn['subsets'].iloc[0]):,} random choices of "
            f"{count(k, 'run')}, with a standard error of {drawn['se'].max():.1g}."
        )
    if _place(shown) == ON["dev"]:
        text += " Without a test set the best run is scored on the examples that chose it, which flatters it."
    if left := len(group.runs) - int(part["n_runs"].iloc[0]):
        text += f" {count(left, 'run')} without finite predictions {'is' if left == 1 else 'are'} left out."
    return text


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test set, or of the validation set where there is no other."""
    split = "test" if (table["split"] == "test").any() else "dev"
    return table.loc[table["split"] == split].reset_index(drop=True)


def _place(shown: pd.DataFrame) -> str:
    return ON[str(shown["split"].iloc[0])]
