"""`make_record`: turns a run's training result into its record, with best and final scores.

Nothing here trains, reads or writes.
"""

from __future__ import annotations

import math
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seedlab.errors import SeedlabError
from seedlab.store.provenance import versions
from seedlab.store.record import STATUSES, Record, json_value

if TYPE_CHECKING:
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.training.result import RunResult

SPLIT = "dev"


def make_record(result: RunResult, task: EncodedTask) -> Record:
    """Return the record of a run.

    Parameters
    ----------
    result : RunResult
    task : EncodedTask
        Its training task; the first metric is the deciding one.

    Returns
    -------
    Record
        `final_score` is the last evaluation on ``dev``, or that of the kept weights with
        `evaluation.keep` best; for a diverged run it is the metric's chance value. `best_score` is the best of all evaluations and the final score. For a
        stopped run, both scores and `failed` describe its last step.

    Raises
    ------
    SeedlabError
        When a run that did not diverge was never evaluated, or its status is unknown.
    """
    # The tasks package is slow to import; code that only reads records does not need it.
    from seedlab.tasks.chance import is_chance
    from seedlab.tasks.metrics import METRICS

    if result.status not in STATUSES:
        raise SeedlabError(
            f"run status '{result.status}' does not exist; allowed: {', '.join(STATUSES)}."
        )
    metric = task.metrics[0]
    highest = METRICS[metric].higher_is_better
    labels = task.splits[SPLIT].labels
    majority = float(METRICS[metric].majority(labels, task.n_labels))
    final = _final_scores(result, task)
    if metric not in final.get(SPLIT, {}):
        raise SeedlabError(
            f"run {result.spec.run_id} has no evaluation of '{metric}' on '{SPLIT}'; an engine "
            "must score the last step."
        )
    final_score = final[SPLIT][metric]
    beaten = final_score > majority if highest else final_score < majority
    logits = result.logits.get(SPLIT)
    rule = "majority" if metric == "accuracy" or logits is None else "chance"
    failed = not beaten
    if rule == "chance" and beaten and logits is not None and np.isfinite(logits).all():
        failed = is_chance(metric, final_score, logits, labels)
    best_score, best_step = _best(result, metric, final_score, highest)
    seeds = result.spec.seeds.resolved()
    finished = datetime.now(UTC)
    provenance: dict[str, Any] = json_value(dict(result.provenance))
    threads = provenance.get("threads")
    return Record(
        run_id=result.spec.run_id,
        spec=json_value(result.spec.to_dict()),
        status=result.status,
        failed=result.status == "diverged" or failed,
        failed_rule=rule,
        constant=is_constant(result.logits.get(SPLIT), task.is_regression),
        task=result.spec.task.name,
        model=result.spec.model.name,
        recipe=result.spec.recipe.name,
        seeds={name: int(seed) for name, seed in vars(seeds).items()},
        metric=metric,
        direction="max" if highest else "min",
        majority=majority,
        n_examples=len(labels),
        n_labels=task.n_labels,
        split=SPLIT,
        best_score=best_score,
        best_step=best_step,
        final_score=final_score,
        test_score=final.get("test", {}).get(metric),
        final_scores=final,
        steps=len(result.losses),
        total_steps=int(result.total_steps),
        kept_step=result.kept_step,
        epochs_made=max((float(e.epoch) for e in result.evaluations), default=0.0),
        train_examples=len(task.splits["train"]),
        seconds=float(result.seconds),
        truncated={name: int(split.truncated) for name, split in task.splits.items()},
        unknown_tokens={name: float(split.unknown) for name, split in task.splits.items()},
        engine=str(provenance.get("engine", "unknown")),
        width=int(provenance.get("width", 1)),
        slot=int(provenance.get("slot", 0)),
        threads=None if threads is None else int(threads),
        device=str(provenance.get("device", "unknown")),
        device_name=str(provenance.get("device_name", "")),
        versions=versions(),
        hostname=socket.gethostname(),
        started=_iso(finished - timedelta(seconds=float(result.seconds))),
        finished=_iso(finished),
        provenance=provenance,
    )


def is_constant(logits: npt.NDArray[np.float32] | None, regression: bool) -> bool:
    """Return whether the predictions are the same for every example.

    Parameters
    ----------
    logits : (example, class) array of float32, or None
    regression : bool
        True: numbers, which count as equal if their spread is at most 1e-6 of the largest
        (float32's rounding, as for the correlations in `seedlab.tasks.metrics`).

    Returns
    -------
    bool
        False for None, for no examples, and where a value is not finite.
    """
    if logits is None or not len(logits) or not np.isfinite(logits).all():
        return False
    if regression:
        return bool(np.ptp(logits) <= 1e-6 * np.abs(logits).max())
    chosen = logits.argmax(axis=1)
    return bool((chosen == chosen[0]).all())


def _final_scores(result: RunResult, task: EncodedTask) -> dict[str, dict[str, float]]:
    """Return the value of every metric on every split for the weights that are kept.

    These are the last values, up to the evaluation whose weights are kept. The metric's chance value replaces values that are not finite, and all values of a diverged
    run.
    """
    from seedlab.tasks.metrics import METRICS

    last: dict[str, dict[str, float]] = {}
    for evaluation in result.evaluations:
        # A stopped run has no final test score, though its test set may have been scored.
        if evaluation.split == "test" and result.status == "stopped":
            continue
        if result.kept_step is None or evaluation.step <= result.kept_step:
            last.setdefault(evaluation.split, {})[evaluation.metric] = float(evaluation.value)
    diverged = result.status == "diverged"
    if diverged:
        # A run may diverge before its first evaluation.
        for split in (SPLIT, *(name for name in ("test",) if name in task.splits)):
            last.setdefault(split, {}).update(dict.fromkeys(task.metrics, math.nan))
    for split, values in last.items():
        for metric, value in values.items():
            if diverged or not math.isfinite(value):
                chance = METRICS[metric].majority(task.splits[split].labels, task.n_labels)
                values[metric] = float(chance)
    return last


def _best(result: RunResult, metric: str, final_score: float, highest: bool) -> tuple[float, int]:
    sign = 1.0 if highest else -1.0
    best, step = final_score, len(result.losses)
    curve = [e for e in result.evaluations if (e.split, e.metric) == (SPLIT, metric)]
    for evaluation in reversed(curve):
        # The earliest of equal scores wins, hence >= in reverse order.
        if math.isfinite(evaluation.value) and sign * evaluation.value >= sign * best:
            best, step = float(evaluation.value), int(evaluation.step)
    return best, step


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
