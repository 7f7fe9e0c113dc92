"""`Record`: what is known of a run once it is over: outcome, scores, timings, provenance.

It holds no curves and no logits (see `seedlab.store.run_arrays`) and reads no files.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from seedlab.errors import SeedlabError
from seedlab.spec.run import RunSpec

# Raised whenever a field comes, goes or changes its meaning.
SCHEMA_VERSION = 1
STATUSES = ("finished", "diverged", "stopped")


@dataclass(frozen=True)
class Record:
    """A run that is over. Every float is finite.

    Scores are those of the metric that decides (`metric`), on the split `split`, unless
    said otherwise. Where a score is not a finite number (a diverged run's final one, a
    correlation that does not exist), the metric's chance value stands in its place.
    """

    run_id: str
    spec: dict[str, Any]
    """`RunSpec.to_dict`; see `run_spec`"""
    status: str
    """finished | diverged (loss or logits stopped being finite) | stopped (by a policy)"""
    failed: bool
    """the final score does not beat `majority`, or the run diverged"""
    constant: bool
    """the final predictions on `split` are all of one class, or all the same number"""
    task: str
    model: str
    recipe: str
    seeds: dict[str, int]
    """one per stream, defaults filled in"""
    metric: str
    direction: str
    """max | min: whether higher or lower scores are better"""
    majority: float
    """score of the best constant prediction on `split`"""
    n_examples: int
    """examples in `split`"""
    n_labels: int
    """number of classes; 1 means regression"""
    split: str
    """dev"""
    best_score: float
    """best of all evaluations (the start included); never worse than `final_score`"""
    best_step: int
    """the first step at which it was reached"""
    final_score: float
    test_score: float | None
    """final score on the split ``test``; None where the task has no labelled one"""
    final_scores: dict[str, dict[str, float]]
    """final value of every metric on every evaluated split: ``[split][metric]``"""
    steps: int
    """updates made"""
    total_steps: int
    """updates that the recipe asked for"""
    epochs_made: float
    """passes over the training set at the last evaluation"""
    train_examples: int
    seconds: float
    """wall-clock time of the run's own training and evaluation"""
    truncated: dict[str, int]
    """texts cut to the maximum length, by split"""
    engine: str
    width: int
    slot: int
    threads: int | None
    device: str
    versions: dict[str, str]
    hostname: str
    started: str
    """ISO 8601, UTC"""
    finished: str
    provenance: dict[str, Any]
    """all that the engine put on record"""

    @property
    def is_over(self) -> bool:
        """Whether the run was trained to its end (a diverged one was), not stopped early."""
        return self.status != "stopped"

    def has_reached(self, until: int | None) -> bool:
        """Whether the run is over, or has made so many updates (None: never enough)."""
        return self.is_over or (until is not None and self.steps >= until)

    def reported(self, score: str) -> float:
        """Return the validation score of that name: ``best`` or ``final``.

        A stopped run has no final one; its best so far is returned.
        """
        return self.final_score if score == "final" and self.is_over else self.best_score

    def run_spec(self) -> RunSpec:
        """Return the specification, to train the run again."""
        return RunSpec.from_dict(self.spec)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Record:
        """Rebuild a record from `to_dict`.

        Raises
        ------
        SeedlabError
            When a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        odd = names.symmetric_difference(values)
        if odd:
            raise SeedlabError(
                f"the record of run {values.get('run_id', '(unnamed)')} does not have the fields "
                f"of schema version {SCHEMA_VERSION}: {', '.join(sorted(odd))} missing or "
                "unknown. Read it with the seedlab that wrote it."
            )
        return cls(**values)

    def better(self, a: float, b: float) -> bool:
        """Return whether score `a` is strictly better than `b`."""
        return a > b if self.direction == "max" else a < b


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: numpy's numbers as Python's, NaN as None.

    What has no JSON form becomes its text: a whole training must not be lost over an
    odd entry in its provenance.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
