"""One-sentence readings of the figures by layer, computed from what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.data.loss_surfaces import barrier
from analysis.report.results.numbers import count
from analysis.training.bias_correction import correction_factor
from analysis.training.run_similarity import KINDS

TENTH = 0.1


def read_correction(
    beta1: float, beta2: float, steps: int, warmup: int, parts: list[tuple[str, int, int]]
) -> str:
    """How much too long the first updates were, and how many runs failed."""
    at = np.arange(1, steps + 1)
    excess = 1.0 / correction_factor(at, beta1, beta2)
    worst = int(excess.argmax())
    text = f"Update 1 is {excess[0]:.1f} times too long, update {worst + 1:,} {excess[worst]:.1f} times"
    if 1 <= warmup <= steps:
        text += f", and at the end of the warm-up (update {warmup:,}) it still is {excess[warmup - 1]:.1f} times"
    runs, failed = sum(n for _, n, _ in parts), sum(n for _, _, n in parts)
    return f"{text}. {failed:,} of {count(runs, 'run')} without bias correction failed."


def read_distances(table: pd.DataFrame, labels: list[str]) -> str:
    """Which layer moved farthest, and where recipes differ most."""
    shown = table.assign(label=labels)
    parts = []
    for label, rows in shown.groupby("label", sort=False):
        order = rows["median"].argsort()
        far, near = rows.iloc[order.iloc[-1]], rows.iloc[order.iloc[0]]
        lost, n = int(rows["n_failed"].max()), int(rows["n_runs"].max())
        failed = f", {'all' if lost == n else lost} failed" if lost else ""
        parts.append(
            f"{label} ({count(n, 'run')}{failed}): {_layer(far['place'])} moved "
            f"farthest ({far['median']:.2g}), {_layer(near['place'])} least ({near['median']:.2g})"
        )
    return "; ".join(parts) + "."


def read_moving(part: pd.DataFrame) -> str:
    """When half of the way was behind the layers."""
    wide = part.pivot_table(index="step", columns="depth", values="median").sort_index()
    end = wide.iloc[-1]
    moved = end[end > 0]
    if moved.empty:
        return "No layer moved."
    half = [int((wide[depth] >= end[depth] / 2).idxmax()) for depth in moved.index]
    total = int(wide.index[-1])
    still = (
        f" {count(len(end) - len(moved), 'depth')} stayed where it was (frozen)."
        if len(moved) < len(end)
        else ""
    )
    when = (
        f"by step {half[0]:,} in every layer"
        if min(half) == max(half)
        else f"by step {min(half):,} in the fastest layer and by step {max(half):,} in the slowest"
    )
    return f"{_runs(part)} Half of the final distance is reached {when}, of {total:,} steps.{still}"


def read_gradients(part: pd.DataFrame) -> str:
    """How gradients of the lowest layer and of the head changed from the beginning to the end."""
    top = int(part["depth"].max())
    texts = []
    for depth, name in ((1, "the lowest layer"), (top, "the head")):
        values = part.loc[part["depth"] == depth].set_index("step")["median"].sort_index()
        size = max(int(np.ceil(TENTH * len(values))), 1)
        first, last = (float(v.median()) for v in (values.iloc[:size], values.iloc[-size:]))
        if first > 0 and last > 0:
            texts.append(f"{name} from {first:.2g} to {last:.2g} ({_change(last / first)})")
        else:
            texts.append(f"{name} there is none")
    return (
        f"{_runs(part)} Between the first and the last tenth of training the median norm goes, for "
        f"{'; for '.join(texts)}."
    )


def read_similarity(
    table: pd.DataFrame, summary: pd.DataFrame, measure: str, n_complete: int
) -> str:
    """How alike the last layer's representations are, by what two runs share."""
    at = summary.loc[summary["measure"] == measure]
    if at.empty:
        return ""
    last = at.loc[at["depth"] == at["depth"].max()].sort_values(
        "kind", key=lambda kinds: kinds.map(KINDS.index)
    )
    values = ", ".join(
        f"{row.kind} {row.median:.2f} ({count(int(row.n_pairs), 'pair')})"
        for row in last.itertuples()
    )
    compared = len({*table["run_a"], *table["run_b"]})
    some = (
        f" {compared} of {n_complete:,} runs, evenly over the ranking."
        if compared < n_complete
        else ""
    )
    return (
        f"Layer {int(at['depth'].max())}, median over pairs: {values}; on "
        f"{count(int(table['n_examples'].iloc[0]), 'example')}.{some}"
    )


def read_surface_figure(surface: pd.DataFrame) -> str:
    """The three losses, and whether a barrier lies between the start and the ends."""
    loss = surface.loc[surface["point"] != ""].set_index("point")["loss"]
    heights = {end: barrier(surface, end) for end in ("failed", "successful")}
    if not any(height > 0 for height in heights.values()):
        ways = "no straight way from the start to an end leads over higher ground"
    else:
        ways = " and ".join(
            f"the straight way to the {end} run's end "
            + (f"leads over a rise of {height:.2g}" if height > 0 else "leads over none")
            for end, height in heights.items()
        )
    return (
        f"The loss on {count(int(surface['examples'].iloc[0]), 'training example')} is {loss['start']:.3f} at "
        f"the start (head of the {surface['start'].iloc[0]} run), {loss['failed']:.3f} where the failed run "
        f"ended and {loss['successful']:.3f} where the successful one did; {ways}."
    )


def _change(ratio: float) -> str:
    if 0.9 <= ratio <= 1.1:
        return "about the same"
    return f"{ratio:.2g} times as large" if ratio > 1 else f"{1 / ratio:.2g} times smaller"


def _layer(place: str) -> str:
    return f"the {place}" if not place.isdigit() else f"layer {place}"


def _runs(part: pd.DataFrame) -> str:
    return f"{count(int(part['n_runs'].max()), 'run')}."
