"""One-sentence readings of the figures over training and over budgets, computed from them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.data.early_stopped import is_selected
from analysis.figures.curves import drawn_runs
from analysis.report.captions.seeds import digits_of
from analysis.report.results.group_results import GroupResults
from analysis.report.results.numbers import count, number, percent, record


def read_curves(found: GroupResults) -> str:
    """How the run that ended best stood early on."""
    curves = found.recorded.complete_curves()
    if curves is None:
        return ""
    if is_selected(found.recorded):
        ended = curves["run"].nunique()
        return f"{count(len(found.recorded.runs), 'curve')}, of which {ended} go on to the end."
    sign = 1.0 if found.up else -1.0
    n = curves["run"].nunique()
    best_run = found.runs["run"].iloc[int((sign * found.scores).argmax())]
    times = curves.loc[(curves["run"] == best_run) & (curves["fraction"] >= 0.25), "fraction"]
    if times.empty:
        return f"{count(n, 'curve')}; runs that failed are dashed."
    at = float(times.min())
    then = curves.loc[curves["fraction"] == at].set_index("run")["score"]
    rank = int((sign * then > sign * float(then[best_run])).sum()) + 1
    shown = len(drawn_runs(found.study.runs))
    some = f", of which {shown} are drawn, evenly over the ranking" if shown < n else ""
    return (
        f"{count(n, 'curve')}{some}; those of failed runs are dashed. The best run was number {rank:,} "
        f"of {len(then):,} at {percent(at)} of training."
    )


def read_expected_max(found: GroupResults) -> str:
    """What the best of n gains, and how far the band reaches."""
    table = found.table("expected_max")
    if table is None:
        return ""
    d = digits_of(found)
    names = [s for s in ("every", "epoch", "final") if (table["schedule"] == s).any()]
    main = table.loc[table["schedule"] == names[0]].set_index("n")
    told = main["band_upper"].dropna()
    best = main["unbiased"]
    shown = [n for n in (1, 5, 20, 100) if n in best.index]
    values = ", ".join(f"{number(float(best[n]), d)} for n = {n}" for n in shown)
    text = f"Expected best: {values}."
    if len(names) > 1 and 5 in main.index:
        last = table.loc[table["schedule"] == "final"].set_index("n")["unbiased"]
        gain = abs(float(best[5]) - float(last[5]))
        text += (
            f" Keeping the best evaluation instead of the last is worth {number(gain, d)} at n = 5."
        )
    if len(told) > 1:
        text += (
            f" The band is drawn up to n = {int(told.index.max())}: beyond it, {count(len(found.runs), 'run')} "
            "say nothing on how good the best may be."
        )
    else:
        text += f" {count(len(found.runs), 'run')} are too few for an informative band."
    return text


def read_stopping(found: GroupResults) -> str:
    """Over which budgets early stopping pays, and where it pays most."""
    table = found.table("early_stopping")
    if table is None:
        return ""
    gain = table["relative_error_reduction"]
    pays = table.loc[table["fraction"] < 1]
    if pays.empty:
        return "No plan beats plain runs at any of these budgets."
    top = record(table, int(gain.fillna(-1.0).argmax())) if gain.notna().any() else record(pays, -1)
    usual = float(pays["fraction"].median())
    text = (
        f"Stopping pays at {len(pays)} of {count(len(table), 'budget')}, most at "
        f"{count(int(top['budget']), 'training')}"
    )
    if math.isfinite(top["relative_error_reduction"]):
        text += f", where it takes away {percent(top['relative_error_reduction'])} of the error"
    return (
        f"{text}. The best plans stop after {percent(usual)} of training (median) and continue "
        f"{percent(float((pays['continued'] / pays['budget']).median()))} of the budget's runs."
    )


def read_rank_correlation(found: GroupResults) -> str:
    """When early scores begin to foretell the final ranking."""
    table = found.table("rank_correlation")
    if table is None:
        return ""
    end = table.loc[np.isclose(table["other_fraction"], 1.0)].dropna(subset="spearman")
    if end.empty:
        return "All scores are equal at some evaluation, so ranks say nothing."
    parts = []
    for goal in (0.1, 0.3, 0.5):
        row = record(end, int((end["fraction"] - goal).abs().argmin()))
        parts.append(f"{round(row['spearman'], 2) + 0.0:.2f} at {percent(row['fraction'])}")
    return f"Rank correlation with the final score: {', '.join(dict.fromkeys(parts))} of training."


def read_replay(found: GroupResults) -> str:
    """Which pruner does best at the largest budget that all could spend."""
    table = found.table("replay")
    if table is None:
        return ""
    spent = table.loc[table["cost"] >= 0.95 * table["budget"]]
    budgets = spent["budget"].value_counts()
    common = budgets.index[budgets == budgets.max()]
    if common.empty:
        return "The pruners used up the recorded runs, so that no budget compares them."
    at = spent.loc[spent["budget"] == common.max()]
    sign = 1.0 if found.up else -1.0
    best = record(at, int((sign * at["expected_best"]).argmax()))
    d = digits_of(found)
    gain = sign * (best["expected_best"] - best["baseline"])
    clear = "more than" if gain > 2 * best["standard_error"] else "within the error of"
    return (
        f"At a budget of {int(common.max())}, {str(best['policy']).replace('_', ' ')} does best with "
        f"{number(best['expected_best'], d)} ± {number(best['standard_error'], d)}, {clear} the "
        f"{number(best['baseline'], d)} of plain runs. Means over {int(best['orders'])} orders of "
        "arrival; rules are two standard errors; a line ends where a pruner has used up the runs."
    )


def read_losses(found: GroupResults) -> str:
    """Where the mean training loss begins and ends, and how many runs diverged."""
    steps = found.study.steps
    if steps is None:
        return ""
    good = found.runs.loc[~found.runs["failed"], "run"]
    loss = steps.loc[steps["run"].isin(good)].groupby("step")["train_loss"].mean().dropna()
    if loss.empty:
        return "No run that trained well has recorded its losses."
    tenth = max(len(loss) // 10, 1)
    lost = int(found.runs["diverged"].sum())
    return (
        f"The mean loss falls from {loss.iloc[:tenth].mean():.3g} in the first tenth of training to "
        f"{loss.iloc[-tenth:].mean():.3g} in the last; {count(lost, 'run')} diverged."
    )


def read_ends(table: pd.DataFrame) -> str:
    """Whether runs that ended with a low training loss scored well, and where failed ones lie."""
    known = table.dropna(subset=["train_loss", "final_score"])
    good = known.loc[~known["failed"]]
    text = ""
    if len(good) > 2 and good["train_loss"].nunique() > 1 and good["final_score"].nunique() > 1:
        rank = float(good["train_loss"].corr(good["final_score"], method="spearman"))
        text = (
            f"Among the {count(len(good), 'run')} that did not fail, the rank correlation of loss and "
            f"score is {rank + 0.0:.2f}. "
        )
    failed = known.loc[known["failed"]]
    if len(failed):
        text += (
            f"{count(len(failed), 'failed run')} (crossed out) ended with a median training loss of "
            f"{failed['train_loss'].median():.3g}"
        )
        text += f", the others with {good['train_loss'].median():.3g}." if len(good) else "."
    return text.strip()
