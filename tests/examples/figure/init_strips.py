"""A figure for the report: the scores of every init seed, a row per seed.

The whole figure in one module: when it is shown, its caption, its table and its chart.
One more line lists it in `analysis.report.contents.CONTENTS`.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.figures.theme import NAVY, Chart, rows, score_axis, sized, styled
from analysis.formatting import count, number
from analysis.report.results.group_results import GroupResults
from analysis.report.results.report_results import ReportResults
from analysis.report.sections.part import GroupFigure

ROW = 22


class InitStrips(GroupFigure):
    """Scores against init seeds: a strip per seed, a point per run."""

    id = "init-strips"
    title = "scores by init seed"

    def applies(self, group: GroupResults) -> bool:
        """Whether two init seeds or more have a complete run."""
        return group.runs["init_seed"].nunique() > 1

    def missing(self, group: GroupResults) -> str:
        """The reason for the report's list of what is not shown."""
        return "strips need complete runs of two init seeds; train more seeds."

    def caption(self, group: GroupResults) -> str:
        """The init seed with the widest strip."""
        spans = self.table(group).set_index("init_seed")["span"]
        return (
            f"The widest strip is that of init {spans.idxmax()}: its runs differ by up to "
            f"{number(float(spans.max()), group.digits)}, over "
            f"{count(int(group.runs['order_seed'].nunique()), 'order seed')}."
        )

    def table(self, group: GroupResults) -> pd.DataFrame:
        """The range of scores of every init seed."""
        by_seed = group.runs.groupby("init_seed")["score"]
        table = by_seed.agg(n_runs="size", lower="min", upper="max").reset_index()
        table["span"] = table["upper"] - table["lower"]
        return table.assign(**group.key._asdict())

    def draw(self, group: GroupResults, report: ReportResults) -> Chart:
        """A strip plot; the theme gives colours, fonts and sizes."""
        runs = group.runs[["init_seed", "order_seed", "score"]]
        chart = (
            alt.Chart(rows(runs))
            .mark_tick(thickness=2, color=NAVY)
            .encode(
                x=alt.X("score:Q", title=group.metric, scale=score_axis(runs["score"])),
                y=alt.Y("init_seed:O", title="init seed"),
                tooltip=["init_seed:O", "order_seed:O", "score:Q"],
            )
        )
        return styled(sized(chart, height=ROW * runs["init_seed"].nunique()))
