"""Parametrizations: effective weights computed from the trained parameters, and their gradients.

With low-rank updates and mixout, the encoder does not compute with the trained weights themselves.
A parametrization computes these effective weights before a forward pass, in memory that a thread
reuses for every stack. After the backward pass it converts their gradients into those of the
trained parameters. The encoder does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import nn

from seedlab.compat.peft_private import plain_name
from seedlab.engines.packed.encoder.architecture import EncoderArchitecture
from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, make_layout
from seedlab.engines.packed.encoder.matmul import product
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.models.lora import peft_names
from seedlab.training.techniques.adapter import AdapterEffect
from seedlab.training.techniques.effect import AnyEffect
from seedlab.training.techniques.mixout import MixoutEffect


class Parametrization(Protocol):
    """Computes effective weights, and the gradients of the trained parameters from theirs."""

    @property
    def layout(self) -> FlatLayout:
        """Layout of the effective weights."""
        ...

    @property
    def in_evaluation(self) -> bool:
        """Whether evaluation uses the effective weights too."""
        ...

    @property
    def separate_grads(self) -> bool:
        """Whether gradients of the effective weights need separate memory."""
        ...

    @property
    def needs_start(self) -> bool:
        """Whether it reads the initial weights."""
        ...

    @property
    def mask_elements(self) -> int:
        """Elements of the masks that all runs share."""
        ...

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """Write the effective weights to `out`.

        Parameters
        ----------
        p : mapping of name to tensor
            All parameters, with a leading run axis for more than one run.
        out : mapping of name to tensor
            The effective weights, with the same axes.
        start : mapping of name to tensor
            Initial weights; without a run axis if they are the same for all runs.
        masks : mapping of name to tensor
            Scaled masks of mixout.
        """
        ...

    def backward(
        self,
        p: NamedTensors,
        effective_grads: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """Convert gradients of the effective weights into `grads`, those of the trained parameters."""
        ...


@dataclass(frozen=True)
class LoraParametrization:
    """Effective weights ``W + scale B A`` of query and value maps; only A and B are trained.

    The layout also contains the key maps, so a layer's three maps remain one matrix product.

    Parameters
    ----------
    layout : FlatLayout
    maps : tuple of (str, str, str)
        Names of W, A and B.
    scale : float
    """

    layout: FlatLayout
    maps: tuple[tuple[str, str, str], ...]
    scale: float
    in_evaluation: ClassVar[bool] = True
    separate_grads: ClassVar[bool] = True
    needs_start: ClassVar[bool] = False
    mask_elements: ClassVar[int] = 0

    @classmethod
    def of(
        cls,
        effect: AdapterEffect,
        model: nn.Module,
        architecture: EncoderArchitecture,
        trained: Collection[str],
    ) -> LoraParametrization:
        """Return the parametrization of a model whose `trained` parameters are trained."""
        maps, names = [], []
        for layer in architecture.layers:
            for name in (layer.query, layer.value):
                a, b = peft_names(plain_name(name))
                if a in trained:
                    maps.append((f"{name}.weight", a, b))
                    names += [f"{m}.weight" for m in (layer.query, layer.key, layer.value)]
        layout = make_layout(model, architecture, {}, names)
        return cls(layout, tuple(maps), effect.settings.alpha / effect.settings.rank)

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """See `Parametrization`."""
        for name in self.layout.pieces:
            out[name].copy_(p[name])
        for name, a, b in self.maps:
            add = out[name].addmm_ if out[name].ndim == 2 else out[name].baddbmm_
            add(p[b], p[a], alpha=self.scale)

    def backward(
        self,
        p: NamedTensors,
        effective_grads: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """See `Parametrization`: ``dA = scale B^T dW`` and ``dB = scale dW A^T``."""
        for name, a, b in self.maps:
            product(p[b].mT, effective_grads[name], grads[a], work).mul_(self.scale)
            product(effective_grads[name], p[a].mT, grads[b], work).mul_(self.scale)


@dataclass(frozen=True)
class MixoutParametrization:
    """Effective weights of mixout: linear maps with weights reset at random to initial values.

    Mixout computes ``((1-M) w0 + M w - p w0) / (1-p)`` with a mask M of 0 and 1. With m = M/(1-p)
    this is ``w0 + m (w - w0)``, and its derivative is m.

    Parameters
    ----------
    layout : FlatLayout
    effect : MixoutEffect
    """

    layout: FlatLayout
    effect: MixoutEffect
    in_evaluation: ClassVar[bool] = False
    separate_grads: ClassVar[bool] = False
    needs_start: ClassVar[bool] = True

    @classmethod
    def of(
        cls,
        effect: MixoutEffect,
        model: nn.Module,
        architecture: EncoderArchitecture,
        trained: Collection[str],
    ) -> MixoutParametrization:
        """Return the parametrization of a model whose `trained` parameters are trained."""
        linear = (name for name, m in model.named_modules() if isinstance(m, nn.Linear))
        names = [f"{name}.weight" for name in linear if f"{name}.weight" in trained]
        return cls(make_layout(model, architecture, {}, names), effect)

    @property
    def mask_elements(self) -> int:
        """See `Parametrization`."""
        return self.layout.size if self.effect.settings.granularity == "element" else 0

    def fill(
        self, p: NamedTensors, out: NamedTensors, start: NamedTensors, masks: NamedTensors
    ) -> None:
        """See `Parametrization`."""
        for name in self.layout.pieces:
            torch.lerp(start[name], p[name], masks[name], out=out[name])

    def backward(
        self,
        p: NamedTensors,
        effective_grads: NamedTensors,
        grads: NamedTensors,
        masks: NamedTensors,
        work: Workspace,
    ) -> None:
        """See `Parametrization`; `grads` already holds the gradients, without the factor m."""
        for name in self.layout.pieces:
            grads[name].mul_(masks[name])


PARAMETRIZATIONS: Mapping[str, Callable[..., Parametrization]] = {
    "lora": LoraParametrization.of,
    "mixout": MixoutParametrization.of,
}
"""Makers of parametrizations by key; see `seedlab.training.techniques.effect.Effect.packed_form`."""


def parametrize(
    effects: Collection[AnyEffect],
    model: nn.Module,
    architecture: EncoderArchitecture,
    trained: Collection[str],
) -> Parametrization | None:
    """Return the parametrization that one of the effects asks for; None without one."""
    for effect in effects:
        if effect.packed_form:
            of = PARAMETRIZATIONS[effect.packed_form]
            return of(effect, model, architecture, trained)
    return None
