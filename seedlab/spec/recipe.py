"""`RecipeSpec`: how a model is fine-tuned, and the one list of techniques.

A technique is off while its switch has the default. A field marked with `later` is left out of a
run's identity at its default, so runs of earlier versions keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from seedlab.fields import later
from seedlab.techniques.adapter import AdapterSpec
from seedlab.techniques.averaging import AveragingSpec
from seedlab.techniques.features import FeaturesSpec
from seedlab.techniques.freeze import FreezeSpec
from seedlab.techniques.head import HeadSpec
from seedlab.techniques.intermediate import IntermediateSpec
from seedlab.techniques.layer_rates import LayerRatesSpec
from seedlab.techniques.mixout import MixoutSpec
from seedlab.techniques.prior_decay import PriorDecaySpec
from seedlab.techniques.reinit import ReinitSpec
from seedlab.techniques.technique import Technique
from seedlab.techniques.truncation import TruncationSpec


@dataclass(frozen=True)
class OptimizerSpec:
    """Hyperparameters of AdamW, with bias correction (Adam) or without (BERTAdam)."""

    learning_rate: float = 2e-5
    """peak rate, which the schedule scales"""
    beta1: float = 0.9
    """decay of the running mean of the gradients"""
    beta2: float = 0.999
    """decay of the running mean of their squares"""
    eps: float = 1e-6
    """added to the denominator of an update"""
    weight_decay: float = 0.01
    """decoupled; biases and normalisation layers are exempt, by module type"""
    bias_correction: bool = True
    """true: Adam; false: BERTAdam, whose first updates are several times too long"""


@dataclass(frozen=True)
class ScheduleSpec:
    """The course of the learning rate over the steps."""

    name: str = "linear"
    """linear | cosine | constant | dodge2020_as_released"""
    warmup_ratio: float = 0.1
    """share of the steps over which the rate rises from 0"""
    warmup_steps: int | None = None
    """the same in steps; overrides the ratio"""


@dataclass(frozen=True)
class ClipSpec:
    """Gradient clipping before every update."""

    mode: str = "global"
    """global (one norm over all gradients) | tensor (one per parameter) | none"""
    norm: float = 1.0
    """longest norm that is left as it is"""


@dataclass(frozen=True)
class RecipeSpec:
    """How a model is fine-tuned: optimiser, schedule, length and techniques."""

    name: str = "devlin"
    """label of the recipe in every table"""
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    clip: ClipSpec = field(default_factory=ClipSpec)
    batch_size: int = 16
    """examples per update"""
    accumulation: int = 1
    """parts into which a batch is cut to save memory; the update is the same"""
    epochs: int = 3
    """passes over the training set"""
    max_steps: int | None = None
    """number of updates; overrides `epochs`"""
    dropout: float | None = None
    """probability in the model's own layers and its head; None: as the model's configuration says"""
    dropout_active: str = "always"
    """always | epoch_start (the first step of every epoch alone, as Dodge et al. released)"""
    loss: str = later("default")
    """default (cross-entropy, or mean squared error) | rmse (regression: root of the batch's mean
    squared error)"""
    layer_rates: LayerRatesSpec = later(LayerRatesSpec)
    reinit: ReinitSpec = later(ReinitSpec)
    mixout: MixoutSpec = later(MixoutSpec)
    prior_decay: PriorDecaySpec = later(PriorDecaySpec)
    freeze: FreezeSpec = later(FreezeSpec)
    head: HeadSpec = later(HeadSpec)
    features: FeaturesSpec = later(FeaturesSpec)
    averaging: AveragingSpec = later(AveragingSpec)
    adapter: AdapterSpec = later(AdapterSpec)
    intermediate: IntermediateSpec = later(IntermediateSpec)
    truncation: TruncationSpec = later(TruncationSpec)


def _listed() -> dict[str, type[Technique]]:
    kinds: dict[str, Any] = {item.name: item.default_factory for item in fields(RecipeSpec)}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Technique)
    }


TECHNIQUES: Mapping[str, type[Technique]] = MappingProxyType(_listed())
"""Every technique by its section of a recipe, in the order of the fields."""


def active_techniques(recipe: RecipeSpec) -> dict[str, Technique]:
    """Return the techniques that a recipe switches on, by section."""
    sections = {name: getattr(recipe, name) for name in TECHNIQUES}
    return {name: technique for name, technique in sections.items() if technique.is_on}
