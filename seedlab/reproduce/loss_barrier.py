"""Loss and score on the straight line between two runs' weights (Frankle et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of
from seedlab.reproduce.loss_surface import choose_examples
from seedlab.reproduce.one_setting import check_distinct, check_finished, check_setting
from seedlab.reproduce.retrain import check_repeatable, retrain
from seedlab.reproduce.soup import logits_of
from seedlab.reproduce.weight_plane import Point, mean_loss
from seedlab.store.study import StoredRun, StudyFolder
from seedlab.tasks.metrics import METRICS

COLUMNS = [
    *("first", "second", "examples", "metric", "direction"),
    *("at", "point", "loss", "score"),
]


def barrier(
    study: StudyFolder,
    first: str,
    second: str,
    *,
    points: int = 11,
    examples: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    trust: bool = False,
) -> pd.DataFrame:
    """Return loss and score on the straight line between the weights of two runs.

    theta(t) = theta_1 + t (theta_2 - theta_1), t from 0 to 1. These are the weights that
    `seedlab save` writes: low-rank updates are merged, so t = 1/2 is the average of the two models.
    The loss is the mean over the training examples of the cross-entropy (squared error for
    regression), without dropout, weight decay or mixout. The score is the task's deciding metric on
    ``dev``. Both runs are trained again from their records and must have the recorded bits.

    Parameters
    ----------
    study : StudyFolder
    first, second : str
        Run ids, or beginnings of them.
    points : int, at least 3
        Values of t, evenly spaced, both ends among them.
    examples : int, optional
        Number of training examples, drawn by a fixed permutation; all by default.
    progress : callable
        Called with (points done, all points) after every point.
    trust : bool
        See `seedlab.reproduce.retrain.repeat`.

    Returns
    -------
    DataFrame
        ``first, second, examples, metric, direction, at, point, loss, score``, a row per point.
        ``at`` is t; ``point`` is ``first``, ``second`` or empty. Losses and scores may be NaN.

    Raises
    ------
    SeedlabError
        When the runs differ in more than their seeds, a setting can't be used, or a repeated run
        is not equal to its record.
    """
    if points < 3:
        raise SeedlabError(f"points is {points}; it must be at least 3: the two ends and between.")
    ends = [study.read(study.find_run(text)) for text in (first, second)]
    records = [one.record for one in ends]
    runs = [record.run_spec() for record in records]
    check_distinct([run.run_id for run in runs], "a line needs the ends of two runs")
    check_setting(runs, "a line needs two runs that differ in their seeds alone")
    check_finished(records, "a line needs runs that were trained to their end")
    for run in runs:
        check_repeatable(run, trust)
    task = load_task_of(runs[0])
    chosen = choose_examples(task.splits["train"], examples)
    metric, dev = METRICS[task.metrics[0]], task.splits["dev"]
    start = _end(ends[0], trust)
    weights = retrain(ends[1], trust=trust)
    end = _copy(weights.merged_state_dict())
    weights.model.eval()
    shared = (runs[0].run_id, runs[1].run_id, len(chosen), metric.name, records[0].direction)
    names, rows = {0.0: "first", 1.0: "second"}, []
    for at in np.linspace(0.0, 1.0, points).tolist():
        weights.set_merged(lambda name, at=at: between(start[name], end[name], at))  # type: ignore[misc]
        loss = mean_loss(
            weights.model, task, chosen, runs[0].evaluation.batch_size, runs[0].model.dtype
        )
        score = metric.score(logits_of(runs[0], task, weights, "dev"), dev.labels)
        rows.append((*shared, at, names.get(at, ""), loss, score))
        progress(len(rows), points)
    return pd.DataFrame(rows, columns=COLUMNS)


def between(start: torch.Tensor, end: torch.Tensor, at: float) -> torch.Tensor:
    """Return start + at (end - start), exactly an end where `at` is 0 or 1; whole numbers stay."""
    if at in (0.0, 1.0) or not start.is_floating_point():
        return end if at == 1.0 else start
    start = start.to(end.device).double()
    return (start + at * (end.double() - start)).to(end.dtype)


def height(table: pd.DataFrame, quantity: str = "loss") -> float:
    """Return the height of the barrier on a line (Frankle et al. 2020, section 2).

    Of the loss: max over t of L(theta(t)), minus (L(theta_1) + L(theta_2)) / 2. Of a score that is
    better when higher: the mean of the ends, minus the lowest value. At least half the difference
    of the ends, so that 0 needs equal ends; NaN where a value is NaN.

    Parameters
    ----------
    table : DataFrame
        Of `barrier`.
    quantity : {"loss", "score"}
    """
    higher_is_better = quantity == "score" and table["direction"].iloc[0] == "max"
    worse = table[quantity].to_numpy(dtype=np.float64) * (-1.0 if higher_is_better else 1.0)
    return float(worse.max() - (worse[0] + worse[-1]) / 2)


def _end(one: StoredRun, trust: bool) -> Point:
    """Train a run again and return its weights."""
    return _copy(retrain(one, trust=trust).merged_state_dict())


def _copy(tensors: Point) -> Point:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
