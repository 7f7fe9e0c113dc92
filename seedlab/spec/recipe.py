"""`RecipeSpec`: how a model is fine-tuned, one section per technique.

A technique whose section is as by default is off. Fields marked as later ones are left out
of a run's identity at their default, so that runs of earlier versions keep their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seedlab.fields import later

CLIP_MODES = ("global", "tensor", "none")
LAYER_RATE_SCHEMES = ("none", "zhang", "chang", "sun", "grouped")
GRANULARITIES = ("column", "element")
HEADS = ("default", "token0", "concat", "mean", "max", "scalar_mix", "attention", "cnn")
ADAPTERS = ("none", "bitfit", "lora")
LOSSES = ("default", "rmse")
TRUNCATIONS = ("head", "tail", "head_tail")


@dataclass(frozen=True)
class OptimizerSpec:
    """Hyperparameters of AdamW, with bias correction (Adam) or without (BERTAdam)."""

    learning_rate: float = 2e-5
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.01
    """decoupled; biases and normalisation layers are exempt, by module type"""
    bias_correction: bool = True


@dataclass(frozen=True)
class ScheduleSpec:
    """How the learning rate moves over the steps."""

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


@dataclass(frozen=True)
class LayerRatesSpec:
    """Learning rates by depth: lower layers learn more slowly."""

    scheme: str = "none"
    """none | zhang | chang | sun (layer-wise decay, numbered as in that paper) | grouped"""
    decay: float = 0.95
    """factor from one layer to the one below it"""
    head_learning_rate: float | None = None
    """chang, grouped: rate of head and pooler; None: the peak rate (chang), the last multiplier
    (grouped)"""
    multipliers: tuple[float, ...] = (1.0, 1.75, 3.5, 3.6)
    """grouped: of the peak rate, for the lowest third of the layers with the embeddings, the
    middle third, the top third, and head and pooler"""


@dataclass(frozen=True)
class ReinitSpec:
    """Re-initialisation of the pooler and the top layers from the init stream."""

    layers: int | None = None
    """how many of the top layers; 0: the pooler alone; null: off"""


@dataclass(frozen=True)
class MixoutSpec:
    """Mixout: weights fall back to their pre-trained values at random, in expectation unbiased."""

    p: float = 0.0
    """probability of falling back, in [0, 1]; 0: off"""
    granularity: str = "column"
    """column (one draw per input feature of a linear map, as released) | element"""
    keep_dropout: bool = False
    """false: mixout replaces all dropout, as released"""


@dataclass(frozen=True)
class PriorDecaySpec:
    """Weight decay towards the pre-trained weights instead of towards 0."""

    strength: float = 0.0
    """decoupled, times the learning rate; 0: off"""
    anchor_head: bool = False
    """true: pull head and pooler towards their start as well (as the released code does)"""


@dataclass(frozen=True)
class FreezeSpec:
    """Freezing of the embeddings and the lowest layers."""

    layers: int | None = None
    """how many of the lowest layers, besides the embeddings; 0: embeddings alone; null: off"""
    dropout: bool = True
    """false: no dropout in the frozen part"""


@dataclass(frozen=True)
class HeadSpec:
    """What the classifier reads from the encoder."""

    kind: str = "default"
    """default (the architecture's own) | token0 | concat | mean | max | scalar_mix | attention | cnn"""
    layers: int = 4
    """concat, mean, max, scalar_mix, cnn: over so many of the top layers' first tokens"""
    layer: int = -1
    """token0, attention: which hidden state; -1 is the last, 0 the embeddings"""


@dataclass(frozen=True)
class FeaturesSpec:
    """Feature-based use: the encoder stays as it is and a head is trained on its outputs."""

    active: bool = False


@dataclass(frozen=True)
class AveragingSpec:
    """Stochastic weight averaging: the average of the weights after every step is evaluated."""

    start_epoch: float | None = None
    """averaging begins after so many epochs; null: off"""
    learning_rate: float = 2e-6
    """constant rate from then on"""
    anneal_steps: int = 10
    """steps over which the rate moves there, along a cosine"""
    per_group: bool = True
    """true: layer-wise factors apply to the constant rate; false: one rate for all, as published"""


@dataclass(frozen=True)
class AdapterSpec:
    """Parameter-efficient fine-tuning: what is trained instead of all weights."""

    method: str = "none"
    """none | bitfit (biases and the head) | lora (low-rank updates of query and value, and the head)"""
    rank: int = 8
    """lora: rank of an update"""
    alpha: float = 16.0
    """lora: updates are scaled by alpha / rank"""


@dataclass(frozen=True)
class IntermediateSpec:
    """An intermediate task (STILTs): start from the encoder that a run of another study ended with."""

    study: str | None = None
    """name or folder of that study; null: off"""
    run: str = "median"
    """run id (or its first digits) | best | median, by final score"""


@dataclass(frozen=True)
class TruncationSpec:
    """Which part of a text that is too long is kept."""

    keep: str = "head"
    """head | tail | head_tail"""
    head: int = 128
    """head_tail: tokens kept from the beginning, special tokens not counted"""


@dataclass(frozen=True)
class RecipeSpec:
    """How a model is fine-tuned: optimiser, schedule, length and techniques."""

    name: str = "devlin"
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    clip: ClipSpec = field(default_factory=ClipSpec)
    batch_size: int = 16
    """examples per update"""
    accumulation: int = 1
    """parts into which a batch is cut to save memory; the update is the same"""
    epochs: int = 3
    max_steps: int | None = None
    """number of updates; overrides `epochs`"""
    dropout: float | None = None
    """None: as the model's own configuration says"""
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
