"""`RunSpec`: all values that decide a run's computation, frozen, hashable and typed.

Engine, width, device, threads and launcher do not decide it. They are provenance and stand in
the record. This package imports the standard library alone,
so that engines can be used on a machine that has only torch, transformers and numpy.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from seedlab.fields import default_of, identity_of, is_later, later
from seedlab.spec.build import UnknownFields, read_stored
from seedlab.spec.recipe import RecipeSpec

# Raised whenever the meaning of a field changes, so that old runs are never taken
# for new ones.
SPEC_VERSION = 1

DTYPES = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class TaskSpec:
    """A task: where its examples come from and how they are cut to length."""

    name: str = "acceptability"
    """label of the task in every table"""
    reader: str = "embedded"
    """embedded (made by seedlab) | glue (from the hub or the original files) | table (your files)"""
    path: str | None = None
    """folder (glue, table) or file holding the data; None: the hub (glue); no part of
    a run's id"""
    metric: str | None = None
    """primary metric; None: the task's own"""
    max_length: int = 128
    """longest text in tokens, special tokens included; longer ones are cut and counted"""
    train_size: int | None = None
    """train on a subset of this many examples, drawn by seed.subsample; see `subset`"""
    train_file: str | None = None
    """table: the training file, relative to `path`; its content, not its name, is part of a run's id"""
    dev_file: str | None = None
    """table: the validation file, relative to `path`"""
    test_file: str | None = None
    """table: the test file, relative to `path`; None: no test set"""
    text: str | None = None
    """table: column of the text"""
    text_pair: str | None = None
    """table: column of the second text; None: single texts"""
    label: str | None = None
    """table: column of the label or target"""
    labels: tuple[str, ...] | None = None
    """table: allowed labels in order; None: the sorted values of the training file"""
    kind: str = "classification"
    """table: classification | regression"""
    examples: int = 1000
    """embedded: training examples"""
    dev_examples: int = 500
    """embedded: validation examples"""
    noise: float = 0.05
    """embedded: share of labels replaced by noise, in [0, 1)"""
    data_seed: int = 0
    """embedded: seed of the generator (which sentences there are)"""
    dev_split: str = later("given")
    """given | halved (the validation set is halved, stratified by label: one half validates, the
    other is the test set) | from_train (the last `dev_size` examples of the shuffled training set
    validate, and the given validation set is the test set)"""
    split_seed: int = later(1)
    """seed of halving, of shuffling and of folds"""
    dev_size: int = later(500)
    """from_train: how many examples validate"""
    folds: int | None = later(None)
    """cross-validation: the training set is cut into so many stratified folds"""
    fold: int = later(0)
    """which fold validates, from 0; the others are trained on"""
    subset: str = later("balanced")
    """with train_size: balanced (as many examples of each class) | stratified (the shares of the
    classes stay) | random"""
    allow_unknown_tokens: bool = later(False)
    """train although the tokenizer does not know 30 % of the tokens. Not identity."""


@dataclass(frozen=True)
class ModelSpec:
    """A pre-trained model: where its weights come from and how it computes."""

    name: str = "embedded"
    """hub name, or a label when `path` is given; 'embedded' is the shipped encoder; no part
    of a run's id"""
    path: str | None = None
    """folder of a local checkpoint; the weights, not their place, are part of a run's id"""
    dtype: str = "float32"
    """float32 | bfloat16 (autocast, float32 master weights) | float64"""
    allow_pickle: bool = False
    """accept weights in pickle format (runs code from the file when loaded)"""
    trust_remote_code: bool = False
    """accept a model class shipped with the checkpoint (runs its code)"""


@dataclass(frozen=True)
class EvaluationSpec:
    """When the validation set is scored; the last step always is."""

    per_epoch: int = 1
    """evaluations per epoch; 0: at the end alone"""
    every: int | None = None
    """every so many steps; overrides `per_epoch`"""
    at_start: bool = True
    """score the model before its first update (step 0)"""
    batch_size: int = 64
    """examples per forward pass"""
    start_epoch: float = later(0.0)
    """no evaluation between the start and the end of so many epochs"""
    patience: int | None = later(None)
    """training ends after more than so many evaluations in a row without a strictly better score"""
    keep: str = later("final")
    """final | best: weights that predictions, test scores and saved models have. best: those of the
    first evaluation after step 0 with the best validation score, in place of the last ones"""


@dataclass(frozen=True)
class DiagnosticsSpec:
    """Records besides scores and losses. They change no result and are not identity."""

    gradient_norms: int | None = None
    """every so many steps: the norm of the gradient, per layer and before clipping"""
    distances: bool = False
    """at every evaluation: the L2 distance of every layer from its initial weights"""
    representations: int | None = None
    """after the last step: every layer's first token for so many validation examples"""
    test_curve: bool = later(False)
    """at every evaluation: the test score too, which is otherwise that after the last step alone"""


@dataclass(frozen=True)
class Seeds:
    """One seed per stream of random numbers; null follows `order`."""

    init: int = 0
    """initial weights: the head, and layers that a recipe re-initialises"""
    order: int = 0
    """order of the training examples"""
    dropout: int | None = None
    """dropout masks; None: as `order`"""
    mixout: int | None = None
    """mixout masks; None: as `order`"""
    mask: int = 0
    """reserved for masked language modelling: no technique of this release draws from it"""
    augment: int = 0
    """reserved for data augmentation: no technique of this release draws from it"""
    subsample: int = 0
    """choice of the training examples with task.train_size"""

    def resolved(self) -> Seeds:
        """Return the seeds with every default filled in (dropout and mixout follow order)."""
        return dataclasses.replace(
            self,
            dropout=self.order if self.dropout is None else self.dropout,
            mixout=self.order if self.mixout is None else self.mixout,
        )

    def identity(self) -> dict[str, Any]:
        """Return the resolved seeds, without later streams at their default."""
        later_ones = {f.name: default_of(f) for f in dataclasses.fields(self) if is_later(f)}
        return identity_of(self.resolved(), dataclasses.replace(self, **later_ones).resolved())


@dataclass(frozen=True)
class RunSpec:
    """One run: a task, a model, a recipe, an evaluation schedule and seeds.

    Parameters
    ----------
    task, model, recipe, evaluation, seeds, diagnostics
        The parts; see their own classes.
    data_hash : str
        Hash of the encoded examples (token ids and labels of every split).
    weights_hash : str
        Hash of the pre-trained weights and of the model's configuration.
    unknown : UnknownFields
        Fields of a record that this release does not have.
    """

    task: TaskSpec = field(default_factory=TaskSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    recipe: RecipeSpec = field(default_factory=RecipeSpec)
    evaluation: EvaluationSpec = field(default_factory=EvaluationSpec)
    seeds: Seeds = field(default_factory=Seeds)
    data_hash: str = ""
    weights_hash: str = ""
    diagnostics: DiagnosticsSpec = field(default_factory=DiagnosticsSpec)
    unknown: UnknownFields = field(default_factory=UnknownFields)

    @cached_property
    def run_id(self) -> str:
        """Twenty hexadecimal digits that name the run: same computation, same name.

        A run that was read from its record keeps the name on record, see `from_dict`.
        """
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @cached_property
    def setting(self) -> str:
        """Twelve hexadecimal digits: a hash of everything in the run's identity but its seeds."""
        identity = self.identity()
        del identity["seeds"]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    def identity(self) -> dict[str, Any]:
        """Return the nested values that the run's name is a hash of.

        Folders are left out, and so is the model's name: the hash of its weights identifies it.
        The names of task and recipe are in it, because tables are
        grouped by them and a task's name decides its metric. Fields marked with `later` are left
        out at their default, at every depth.
        """
        values: dict[str, Any] = identity_of(self)
        del values["diagnostics"], values["unknown"]
        values["seeds"] = self.seeds.identity()
        for key in ("train_file", "dev_file", "test_file"):
            values["task"][key] = None
        del values["task"]["path"]
        values["task"].pop("allow_unknown_tokens", None)
        for key in ("name", "path", "allow_pickle", "trust_remote_code"):
            del values["model"][key]
        # The hash of the weights identifies the run that they come from.
        values["recipe"].pop("intermediate", None)
        if self.unknown.decide:
            self.unknown.put_into(values, omitted=("diagnostics",))
        return {"version": SPEC_VERSION, **values}

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as nested plain values, seeds resolved."""
        values = dataclasses.asdict(dataclasses.replace(self, seeds=self.seeds.resolved()))
        del values["unknown"]
        return self.unknown.put_into(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any], run_id: str | None = None) -> RunSpec:
        """Rebuild a specification from `to_dict` (for example from a record).

        Parameters
        ----------
        values : dict
            Values of any release. Missing fields take their defaults, unknown ones are kept.
        run_id : str, optional
            The name on record. The specification then has this name, and unknown fields that
            have no part in it are no part of its identity. Without it they are.

        Notes
        -----
        A copy with other values (`dataclasses.replace`) has a name of its own.
        """
        made, found = read_stored(cls, values)
        if found:
            decide = made.run_id != run_id
            made = dataclasses.replace(made, unknown=UnknownFields(found, decide))
        if run_id is not None:
            # A cached property looks here first; unlike a field it stays out of copies.
            made.__dict__["run_id"] = run_id
        return made
