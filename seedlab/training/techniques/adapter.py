"""Parameter-efficient fine-tuning: BitFit (Ben Zaken et al. 2022) and LoRA (Hu et al. 2022)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from seedlab.models.lora import LoraOptions
from seedlab.techniques.adapter import AdapterSpec
from seedlab.training.techniques.effect import (
    Effect,
    LoadedModel,
    ModelOptions,
    ParameterChanges,
)


class AdapterEffect(Effect[AdapterSpec]):
    """Biases, or low-rank updates, are trained with the head, and nothing else."""

    @property
    def packed_form(self) -> str:
        """See `Effect`. BitFit computes with what it trains."""
        return "lora" if self.settings.method == "lora" else ""

    def model_options(self, options: ModelOptions) -> ModelOptions:
        """See `Effect`."""
        if self.settings.method != "lora":
            return options
        return options._replace(low_rank=LoraOptions(self.settings.rank, self.settings.alpha))

    def on_parameters(self, loaded: LoadedModel) -> ParameterChanges:
        """See `Effect`."""
        still = frozen_by_lora if self.settings.method == "lora" else frozen_by_bitfit
        return ParameterChanges(frozen=still(loaded.names, loaded.new))


def frozen_by_bitfit(names: Iterable[str], new: Collection[str]) -> tuple[str, ...]:
    """Return all but biases and new parameters."""
    return tuple(name for name in names if name not in new and not name.endswith("bias"))


def frozen_by_lora(names: Iterable[str], new: Collection[str]) -> tuple[str, ...]:
    """Return all but low-rank updates and new parameters."""
    return tuple(
        name
        for name in names
        if name not in new and ".lora_A." not in name and ".lora_B." not in name
    )
