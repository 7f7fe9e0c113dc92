"""`Record`: what is known of a run once it is over: outcome, scores, timings, provenance.

It holds no curves and no logits (see `seedlab.store.run_arrays`) and reads no files. Records of all
releases of one schema version can be read: missing circumstances have defaults, and unknown
fields are kept.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from seedlab.errors import CorruptRunError
from seedlab.fields import required, split_known
from seedlab.spec.run import RunSpec

# Raised when an older reader would be wrong: a field changes its meaning, or one that is
# required goes. A new field with a default raises nothing.
SCHEMA_VERSION = 1
STATUSES = ("finished", "diverged", "stopped")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run that is over. Every float is finite.

    Fields without a default say how the run ended; a record that lacks one of them is damaged.
    Fields with a default are circumstances. Every field that comes later needs a default.

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
    test_score: float | None = None
    """final score on the split ``test``; None where the task has no labelled one"""
    final_scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """final value of every metric on every evaluated split: ``[split][metric]``"""
    steps: int
    """updates made"""
    total_steps: int
    """updates that the recipe asked for"""
    epochs_made: float = 0.0
    """passes over the training set at the last evaluation"""
    train_examples: int = 0
    seconds: float = 0.0
    """wall-clock time of the run's own training and evaluation"""
    truncated: dict[str, int] = field(default_factory=dict)
    """texts cut to the maximum length, by split"""
    engine: str = "unknown"
    width: int = 1
    slot: int = 0
    threads: int | None = None
    device: str = "unknown"
    versions: dict[str, str] = field(default_factory=dict)
    hostname: str = ""
    started: str = ""
    """ISO 8601, UTC"""
    finished: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    """all that the engine put on record"""
    extra: dict[str, Any] = field(default_factory=dict)
    """fields of another release, as they were read; `to_dict` puts them back"""

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
        """Return the specification, under the run's name on record."""
        return RunSpec.from_dict(self.spec, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        values = dataclasses.asdict(self)
        extra = values.pop("extra")
        return {**values, **extra}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Record:
        """Rebuild a record from `to_dict` of any release.

        Raises
        ------
        CorruptRunError
            When a required field is missing.
        """
        missing = [name for name in required(cls) if name not in values]
        if missing:
            raise CorruptRunError(
                f"the record of run {values.get('run_id', '(unnamed)')} lacks required fields: "
                f"{', '.join(missing)}"
            )
        names = {item.name for item in dataclasses.fields(cls)} - {"extra"}
        known, extra = split_known(values, names)
        return cls(**known, extra=extra)

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
