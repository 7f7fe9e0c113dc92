"""The loss on the plane through a start and the ends of two runs (Mosbach et al. 2021, fig. 7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from transformers import PreTrainedModel

from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of, load_weights_of, prepare
from seedlab.randomness.streams import permutation
from seedlab.reproduce.one_setting import check_distinct, check_inputs
from seedlab.reproduce.retrain import retrain
from seedlab.reproduce.weight_plane import CORNERS, Plane, Point, losses_on, weights_of
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.store.study import StoredRun, StudyFolder
from seedlab.store.writable import check_file
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import make_plan

COLUMNS = ["failed", "successful", "start", "examples", "a", "b", "point", "loss"]
SUFFIXES = (".csv", ".parquet")


def surface(
    study: StudyFolder,
    failed: str,
    successful: str,
    *,
    grid: int = 25,
    low: float = -0.5,
    high: float = 1.5,
    examples: int | None = None,
    start: str = "failed",
    progress: Callable[[int, int], None] = lambda done, total: None,
    trust: bool = False,
) -> pd.DataFrame:
    """Return the training loss on the plane through a start and the ends of two runs.

    f(a, b) = L(p + a (f - p) + b (s - p)). Here f and s are the weights that the two runs keep
    (`evaluation.keep`), and p are the initial weights of one of them. L is the mean over the examples of the
    cross-entropy (squared error for regression), without dropout, weight decay or mixout. Both
    runs are trained again from their records and must have the recorded bits.

    Parameters
    ----------
    study : StudyFolder
    failed, successful : str
        Run ids, or beginnings of them.
    grid : int, at least 3
        Values of a, and of b.
    low, high : float
        Their range, which must hold 0 and 1. The values nearest to 0 and 1 are moved there.
    examples : int, optional
        Number of training examples, drawn by a fixed permutation; all by default.
    start : {"failed", "successful"}
        The run whose start is p. Both runs start from the pre-trained encoder. Head, pooler and
        re-initialised layers are drawn by a run's own init seed.
    progress : callable
        Called with (points done, all points) after every point.
    trust : bool
        See `seedlab.reproduce.retrain.repeat`.

    Returns
    -------
    DataFrame
        ``failed, successful, start, examples, a, b, point, loss``, a row per point. ``point`` names
        the start and the two ends, and is empty elsewhere. A loss may be NaN.

    Raises
    ------
    SeedlabError
        When the runs are not of one task and model, a setting can't be used, or a repeated run
        is not equal to its record.
    """
    axis = grid_axis(grid, low, high)
    if start not in ("failed", "successful"):
        raise SeedlabError(f"start is '{start}'; allowed: failed, successful.")
    stored = {
        "failed": study.read(study.find_run(failed)),
        "successful": study.read(study.find_run(successful)),
    }
    runs = {name: one.record.run_spec() for name, one in stored.items()}
    check_distinct([run.run_id for run in runs.values()], "a plane needs the ends of two runs")
    check_inputs(list(runs.values()), "a plane needs two runs of one task and model")
    task = load_task_of(runs["failed"])
    chosen = choose_examples(task.splits["train"], examples)
    ends = {name: _end(one, trust) for name, one in stored.items()}
    device = "cpu" if stored["failed"].record.device == "cpu" else "cuda"
    model, beginning = _start(runs[start], task, device)
    shapes = [{name: p.shape for name, p in point.items()} for point in (beginning, *ends.values())]
    if not shapes[0] == shapes[1] == shapes[2]:
        raise SeedlabError(
            f"runs {runs['failed'].run_id} and {runs['successful'].run_id} have different weights "
            "(another head or adapter); a plane needs two runs of one structure."
        )
    plane = Plane(beginning, **ends)
    like = runs[start]
    losses = losses_on(
        plane, model, task, chosen, axis, like.evaluation.batch_size, like.model.dtype, progress
    )
    rows = [
        (
            *(runs["failed"].run_id, runs["successful"].run_id, start, len(chosen), a, b),
            *(CORNERS.get((a, b), ""), losses[i, j]),
        )
        for i, a in enumerate(axis.tolist())
        for j, b in enumerate(axis.tolist())
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def grid_axis(grid: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Return the values of a and b: evenly spaced, with 0 and 1 exactly among them.

    Raises
    ------
    SeedlabError
        When there are fewer than three, or the range does not hold 0 and 1.
    """
    if grid < 3:
        raise SeedlabError(f"grid is {grid}; it must be at least 3.")
    if not (low <= 0.0 and high >= 1.0 and np.isfinite([low, high]).all()):
        raise SeedlabError(
            f"the range is {low:g} to {high:g}; it must hold 0 (the start) and 1 (the ends)."
        )
    axis = np.linspace(low, high, grid)
    for value in (0.0, 1.0):
        axis[np.abs(axis - value).argmin()] = value
    return axis


def choose_examples(split: Split, n: int | None) -> npt.NDArray[np.int64]:
    """Return the places of n examples, all by default; a smaller choice is part of a larger."""
    if n is None:
        return np.arange(len(split))
    if not 1 <= n <= len(split):
        raise SeedlabError(
            f"examples is {n}; it must be from 1 to the {len(split)} training examples there are."
        )
    return np.sort(permutation(0, 0, len(split), stream="subsample")[:n])


def check_out(path: Path, result: str) -> None:
    """Refuse a file name without a known ending, or a place without permission, before any work.

    `result` names what is written there, such as ``a surface``.
    """
    if path.suffix not in SUFFIXES:
        raise SeedlabError(f"'{path.name}' has an unknown ending; allowed: {', '.join(SUFFIXES)}.")
    check_file(path, result, "name another one with --out FILE", parents=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def _end(stored: StoredRun, trust: bool) -> Point:
    """Train a run again and return the weights that it keeps."""
    return weights_of(retrain(stored, trust=trust).model)


def _start(run: RunSpec, task: EncodedTask, device: str) -> tuple[PreTrainedModel, Point]:
    """Return a run's model and its weights before the first update."""
    weights = load_weights_of(run, task, prepare(EngineSpec(device=device)))
    plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
    fresh = plan_parameters(run, plan, weights.model, weights.new).fresh
    return weights.model, weights_of(weights.start(run.seeds.init, fresh))
