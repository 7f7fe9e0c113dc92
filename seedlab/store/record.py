"""`Record`: the outcome of a run: status, scores, timings and provenance.

It contains no curves and no logits (see `seedlab.store.run_arrays`), and reads no files. Records of
all releases of one schema version can be read: missing circumstances get defaults, and unknown
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

# Increased when an older reader would be wrong: a field changes its meaning, or a required field
# is removed. A new field with a default keeps the version.
SCHEMA_VERSION = 1
STATUSES = ("finished", "diverged", "stopped")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a finished, diverged or stopped run. Every float is finite.

    Fields without a default describe the outcome; a record that lacks one of them is damaged.
    Fields with a default are circumstances. Every field added later needs a default.

    Scores are values of the deciding metric, `metric`, on the split `split`, unless a field says
    otherwise. The metric's chance value replaces a score that is not finite: the final score of a
    diverged run, or an undefined correlation. A diverged run stays one, whatever weights are kept.
    """

    run_id: str
    spec: dict[str, Any]
    """`RunSpec.to_dict`; see `run_spec`"""
    status: str
    """finished | diverged (the loss or a logit became NaN or infinite) | stopped (by a policy)"""
    failed: bool
    """the run diverged, or its final score is no better than `failed_rule` asks for"""
    constant: bool
    """the final predictions on `split` are the same for every example"""
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
    """best of all evaluations, including step 0; never worse than `final_score`. For the best after
    step 0 see `seedlab.store.chosen`."""
    best_step: int
    """first step that reached `best_score`"""
    final_score: float
    """score of the weights that are kept: those after the last step, or with `evaluation.keep` best
    those of the best evaluation after step 0"""
    failed_rule: str = "majority"
    """majority (it must beat `majority`) | chance (and its own predictions, shuffled among the
    examples: `seedlab.tasks.chance`). Records of earlier releases: majority."""
    test_score: float | None = None
    """final score on the split ``test``; None if the task has no labelled test split"""
    final_scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """final value of every metric on every evaluated split: ``[split][metric]``"""
    steps: int
    """updates made"""
    total_steps: int
    """updates that the recipe asked for"""
    kept_step: int | None = None
    """with `evaluation.keep` best: updates made before the kept weights; None: the last ones are
    kept"""
    epochs_made: float = 0.0
    """passes over the training set at the last evaluation"""
    train_examples: int = 0
    seconds: float = 0.0
    """the run's share of the wall-clock time of training and evaluation: runs that are trained
    together divide it"""
    truncated: dict[str, int] = field(default_factory=dict)
    """number of texts truncated to the maximum length, by split"""
    unknown_tokens: dict[str, float] = field(default_factory=dict)
    """share of the texts' tokens that the tokenizer does not know, by split; empty if not counted"""
    engine: str = "unknown"
    width: int = 1
    """number of runs trained together"""
    slot: int = 0
    """index of the run among them, counted from 0"""
    threads: int | None = None
    device: str = "unknown"
    device_name: str = ""
    """product name of the GPU, with the profile of a MIG instance; empty on a CPU, or if unknown"""
    versions: dict[str, str] = field(default_factory=dict)
    hostname: str = ""
    started: str = ""
    """`finished` minus `seconds`, ISO 8601 in UTC; runs that are trained together began earlier"""
    finished: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    """all entries that the engine recorded"""
    extra: dict[str, Any] = field(default_factory=dict)
    """unknown fields, written by another release; `to_dict` returns them too"""

    @property
    def weights_step(self) -> int:
        """Updates made before the weights that are kept."""
        return self.steps if self.kept_step is None else self.kept_step

    @property
    def is_over(self) -> bool:
        """Whether the run finished or diverged: it can't be resumed."""
        return self.status != "stopped"

    def has_reached(self, until: int | None) -> bool:
        """Whether the run is over or has made `until` updates; None means its end."""
        return self.is_over or (until is not None and self.steps >= until)

    def run_spec(self) -> RunSpec:
        """Return the run's specification, with the recorded run id."""
        return RunSpec.from_dict(self.spec, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """Return values for JSON."""
        values = dataclasses.asdict(self)
        extra = values.pop("extra")
        return {**values, **extra}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Record:
        """Return the record from the values that `to_dict` returned, in any release.

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


def json_value(value: Any) -> Any:
    """Return a value for JSON: numpy's numbers as Python's, NaN and infinity as None.

    Other objects become their text, so that an odd entry in its provenance does not lose a run.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
