"""Tables for papers: LaTeX (booktabs) and Markdown beside the CSV files of the same names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis.best_of_n.expected_max_table import richest_schedule
from analysis.comparison.mean_difference import primary_test
from analysis.formatting import number, percent
from analysis.report.results.group_results import GroupResults

SHOWN_N = (1, 5, 10, 20, 50)
SCORES = {
    "best": "",
    "final": "Scores are those of the last evaluation.",
    "test": "Scores are those of the test set.",
}
OF_VALIDATION = ("failure_rates", "choosing", "choosing_both")
"""Tables about the validation set whichever scores are analysed."""


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A small table of texts.

    Attributes
    ----------
    name : str
        Name of the CSV file that holds the numbers.
    caption : str
        Numbers of runs, intervals and tests, in sentences.
    frame : DataFrame
        Columns of str.
    """

    name: str
    caption: str
    frame: pd.DataFrame

    def latex(self) -> str:
        """The table for booktabs, with caption and label."""
        style = self.frame.style.hide(axis="index")
        style = style.format(escape="latex").format_index(escape="latex", axis=1)
        return str(
            style.to_latex(
                hrules=True,
                caption=_escaped(self.caption),
                label=f"tab:{self.name}",
                position_float="centering",
                column_format="l" * len(self.frame.columns),
            )
        )

    def markdown(self) -> str:
        """The table with pipes, above its caption."""
        header = list(self.frame.columns)
        cells = [header, ["---"] * len(header), *self.frame.to_numpy().tolist()]
        lines = ["| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in cells]
        return "\n".join([*lines, "", self.caption, ""])


def paper_tables(
    groups: Sequence[GroupResults], tables: dict[str, pd.DataFrame]
) -> list[PaperTable]:
    """Tables of means, failures, shares, the best of n, choosing and comparisons.

    Parameters
    ----------
    groups : sequence of GroupResults
    tables : dict of DataFrame by file name
        All tables of the report; comparisons are taken from here.

    Returns
    -------
    list of PaperTable
        Without those that the data do not allow.
    """
    makers = (_means, _failures, _shares, _best_of_n, _choosing, _choosing_both)
    made = [_with_n(make(list(groups))) for make in makers]
    for by in ("recipe", "model"):
        table = tables.get(f"comparison_{by}")
        if table is not None and not table.empty:
            made.append(_comparison(table, by))
    note = SCORES[groups[0].study.score] if groups else ""
    return [
        dataclasses.replace(table, caption=f"{table.caption} {note}".strip())
        if table.name not in OF_VALIDATION
        else table
        for table in made
        if len(table.frame)
    ]


def write_paper_tables(tables: Sequence[PaperTable], folder: Path) -> None:
    """Write `folder`/NAME.tex and NAME.md for every table."""
    for table in tables:
        (folder / f"{table.name}.tex").write_text(table.latex(), encoding="utf-8")
        (folder / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")


def _rows(
    groups: list[GroupResults], name: str, cells: Callable[[GroupResults], dict[str, str] | None]
) -> pd.DataFrame:
    """One row per group that has the table, headed by what distinguishes the groups."""
    models = len({group.key.model for group in groups}) > 1
    rows = []
    for group in groups:
        if group.table(name) is None or (found := cells(group)) is None:
            continue
        head = {"task": group.key.task}
        head |= {"model": group.key.model} if models else {}
        rows.append(head | {"recipe": group.key.recipe} | found)
    return pd.DataFrame(rows).fillna("")


def _with_n(table: PaperTable) -> PaperTable:
    """The table with the numbers of runs in its caption."""
    if "runs" not in table.frame:
        return table
    sizes = sorted({int(n) for n in table.frame["runs"]})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return dataclasses.replace(
        table, caption=f"{table.caption} n = {n} runs in a row of the table."
    )


def _means(groups: list[GroupResults]) -> PaperTable:
    def cells(group: GroupResults) -> dict[str, str]:
        row, d = group.tables["means"].iloc[0], group.digits
        return {
            "metric": group.metric,
            "runs": f"{int(row['n_runs'])}",
            "mean": number(row["mean"], d),
            "95% interval": _interval(row["lower"], row["upper"], lambda x: number(x, d)),
            "sd": number(row["sd"], d),
            "range": f"{number(row['min'], d)} to {number(row['max'], d)}",
        }

    designs = {
        str(g.tables["means"]["design"].iloc[0]) for g in groups if g.table("means") is not None
    }
    return PaperTable(
        "means",
        "Mean score over seeds with 95% intervals. "
        + " ".join(DESIGNS[name] for name in sorted(designs)),
        _rows(groups, "means", cells),
    )


DESIGNS = {
    "grid": "Intervals of grids: variance components of init and order, Satterthwaite's degrees of "
    "freedom.",
    "incomplete grid": "Intervals of grids with missing cells: Henderson's method III.",
    "independent": "Runs that share no seed have Student's interval.",
    "one shared seed": "Intervals of runs with one init (or order) seed hold for that seed alone.",
    "unknown": "Where seeds are not linked, no interval is known.",
}


def _failures(groups: list[GroupResults]) -> PaperTable:
    def cells(group: GroupResults) -> dict[str, str] | None:
        row = group.tables["failure"].iloc[0]
        if not row["judged"]:
            return None
        return {
            "runs": f"{int(row['n_runs'])}",
            "failed": f"{int(row['n_failed'])}",
            "rate": percent(row["rate"]),
            "95% interval": _interval(row["lower"], row["upper"], percent),
        }

    return PaperTable(
        "failure_rates",
        "Failed runs: the final score does not beat the majority classifier. 95% Wilson intervals with "
        "the effective number of runs where runs share seeds.",
        _rows(groups, "failure", cells),
    )


def _shares(groups: list[GroupResults]) -> PaperTable:
    def cells(group: GroupResults) -> dict[str, str] | None:
        table = group.tables["variance"]
        table = table.loc[table["subset"] == "all runs"]
        if table["share_lower"].isna().all():
            return None
        found = {"grid": f"{int(table['n_init'].iloc[0])} x {int(table['n_order'].iloc[0])}"}
        tests = group.table("tests")
        for row in table.to_dict("records"):
            limits = _interval(row["share_lower"], row["share_upper"], percent)
            found[str(row["component"])] = f"{percent(row['share'])} {limits}".strip()
        for row in [] if tests is None else tests.to_dict("records"):
            if row["test"] == "restricted permutation" and row["p_value"] == row["p_value"]:
                found[f"p ({row['factor'].removesuffix('_seed')})"] = f"{row['p_value']:.2g}"
        return found

    return PaperTable(
        "variance",
        "Shares of init and order in the variance of scores: Henderson's method III, with 95% jackknife "
        "intervals over rows and columns. P-values: permutation tests of a seed within the levels of the "
        "other.",
        _rows(groups, "variance", cells),
    )


def _best_of_n(groups: list[GroupResults]) -> PaperTable:
    def cells(group: GroupResults) -> dict[str, str]:
        table, d = group.tables["expected_max"], group.digits
        best = richest_schedule(table).set_index("n")["unbiased"]
        values = {f"n = {n}": number(float(best[n]), d) for n in SHOWN_N if n in best.index}
        return {"runs": f"{int(best.index.max())}"} | values

    return PaperTable(
        "expected_max",
        "Expected best score of n runs: the average over all subsets of n of the runs (unbiased).",
        _rows(groups, "expected_max", cells),
    )


def _choosing(groups: list[GroupResults], name: str = "choosing", of: str = "") -> PaperTable:
    def cells(group: GroupResults) -> dict[str, str]:
        table, d = group.tables[name].set_index("n"), max(group.digits, 3)
        found = {
            "runs": f"{int(table.index.max())}",
            "mean test": number(float(table["mean_test"][1]), d),
        }
        for n in SHOWN_N[1:3]:
            if n in table.index:
                dev, test = (float(table[c][n]) for c in ("expected_dev", "expected_test"))
                found[f"n = {n}: dev, test"] = f"{number(dev, d)}, {number(test, d)}"
        return found

    return PaperTable(
        name,
        f"Expected validation and test score of the run that is best on the validation set among n{of}: "
        "exact averages over all subsets of n of the runs.",
        _rows(groups, name, cells),
    )


def _choosing_both(groups: list[GroupResults]) -> PaperTable:
    return _choosing(
        groups, "choosing_both", ", each at its best evaluation (mean test: at its last one)"
    )


def _comparison(table: pd.DataFrame, by: str) -> PaperTable:
    rows = []
    tests = set()
    sizes = sorted({*table["n_a"], *table["n_b"]})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    for row in table.to_dict("records"):
        test, name = primary_test(row)
        tests.add(name)
        rows.append(
            {
                "task": row["task"],
                "B": row["b"],
                "A": row["a"],
                "runs of B, A": f"{row['n_b']}, {row['n_a']}",
                "B - A": f"{row[f'{test}_difference']:+.4f}",
                "95% interval": _interval(
                    row[f"{test}_lower"], row[f"{test}_upper"], lambda x: f"{x:+.4f}"
                ),
                "p (Holm)": f"{row[f'{test}_holm']:.2g}",
                "P(B beats A)": f"{row['improvement']:.2f}",
            }
        )
    return PaperTable(
        f"comparison_{by}",
        f"Differences of mean scores with 95% intervals: {', '.join(sorted(tests))}. P-values after Holm's "
        f"correction over the table. n = {n} runs on a side.",
        pd.DataFrame(rows),
    )


def _interval(lower: float, upper: float, text: Callable[[float], str]) -> str:
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return ""
    return f"[{text(lower)}, {text(upper)}]"


def _escaped(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text
