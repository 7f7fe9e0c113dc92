"""Sentences on a group of which runs were stopped early: what is known, and what is not."""

from __future__ import annotations

import math

from analysis.data.early_stopped import STOPPED, at_the_decision
from analysis.data.study import Study
from analysis.report.results.numbers import count, digits_for, number, percent, record


def why_missing(study: Study) -> str:
    """Why nothing is estimated from the final scores of a group."""
    stopped = int((study.runs["status"] == STOPPED).sum())
    ended = int(study.runs["complete"].sum())
    return (
        f"{stopped} of {count(len(study.runs), 'run')} were stopped early, chosen by their scores. The "
        f"{ended} that were trained to the end are a selected sample: they tell neither the mean nor "
        "the spread of final scores, nor failure rates, variance shares, the best of n or how "
        "recipes compare. Train the stopped runs on (the same command without early_stopping) to "
        "know these."
    )


def stopped_words(study: Study) -> list[str]:
    """What can be said of a group all the same."""
    words = [why_missing(study)]
    runs = study.runs
    up = bool(runs["higher_is_better"].iloc[0])
    scores = runs["score"].astype("float64")
    d = digits_for(float(scores.std())) if len(runs) > 1 else 3
    best = record(runs, int((scores if up else -scores).to_numpy().argmax()))
    words.append(
        f"The best of all {len(runs)} started runs has {best['metric']} {number(best['score'], d)} "
        f"(init {best['init_seed']}, order {best['order_seed']}): one draw of what this policy yields."
    )
    table = at_the_decision(study)
    if not table.empty:
        row = record(table, 0)
        text = (
            f"All {row['runs']} reached {percent(row['fraction'])} of training. Their best scores until "
            f"then are {number(row['mean'], d)} on average, standard deviation "
            f"{number(row['sd'], d + 1)}, from {number(row['min'], d)} to {number(row['max'], d)}"
        )
        if math.isfinite(row["failed"]):
            text += f"; {int(row['failed'])} did not beat the majority classifier there"
        words.append(text + ".")
    return words


def read_stopped_grid(study: Study) -> str:
    """What the heatmap of such a group shows."""
    ended = study.runs.loc[study.runs["complete"]]
    stopped = int((study.runs["status"] == STOPPED).sum())
    return (
        f"{count(len(ended), 'cell')} trained to the end; the {stopped} marked ones were stopped "
        "early and have no colour, since their scores are of another moment. There are no means at "
        "the edges: they would be those of the chosen."
    )
