"""AdamW and BERTAdam for a stack of runs; each run's parameters are one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seedlab.compat.torch_private import foreach_mul_, foreach_norm, fused_adamw_
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, Segment

_UNCORRECTED_STEP = 1e9
"""Step at which Adam's bias correction has vanished; torch's kernel then computes BERTAdam."""


@dataclass(frozen=True)
class AdamOptions:
    """Options of the optimiser and of gradient clipping for one run.

    Parameters
    ----------
    beta1, beta2, eps, weight_decay : float
    bias_correction : bool
        True: AdamW; False: BERTAdam (see `seedlab.training.optimizers.BertAdam`).
    clip_mode : str
        ``global``, ``tensor`` or ``none``; see `seedlab.training.optimizers`.
    clip_norm : float
        Largest L2 norm of a gradient, positive.
    """

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    bias_correction: bool
    clip_mode: str
    clip_norm: float


class StackedAdam:
    """The optimiser of a stack, with options and moments for every run.

    Parameters
    ----------
    layout : FlatLayout
    options : sequence of AdamOptions
        One per run.
    weights : (run, size) tensor
        Updated in place.
    segments : sequence over runs of sequences of Segment, optional
        A segment's column is the index of its learning rate. None: one rate for all parameters.

    Attributes
    ----------
    first, second : (run, size) tensors
        Moving averages of the gradients and of their squares.
    decayed : list of float
        Per run, the product over all updates of 1 - rate x weight decay: the decay factor of
        embedding rows that the task never uses.
    """

    def __init__(
        self,
        layout: FlatLayout,
        options: Sequence[AdamOptions],
        weights: torch.Tensor,
        segments: Sequence[Sequence[Segment]] | None = None,
    ) -> None:
        self.layout = layout
        self.options = list(options)
        self.segments = [layout.segments()] * len(options) if segments is None else list(segments)
        self.weights = weights
        self._gaps = layout.gaps().to(weights.device)
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.decayed = [1.0] * len(self.options)

    def update(
        self, grads: torch.Tensor, step: int, rates: Sequence[Sequence[float]]
    ) -> torch.Tensor:
        """Make one update of every run.

        Parameters
        ----------
        grads : (run, size) tensor
            Clipped in place.
        step : int
            Number of the update, counted from 0.
        rates : sequence over runs of sequences of float
            Learning rates of this update by column; the first is that of the embeddings.

        Returns
        -------
        (run,) tensor
            L2 norms of the gradients before clipping, on the device.
        """
        norms = self._clip(grads)
        for run, own in enumerate(self.options):
            # Created on the device: a copy from the host would wait for all queued work.
            count = step + 1.0 if own.bias_correction else _UNCORRECTED_STEP
            adam_step = torch.full((), count, device=grads.device)
            self.decayed[run] *= 1.0 - rates[run][0] * own.weight_decay
            for segment in self.segments[run]:
                part = slice(segment.start, segment.stop)
                fused_adamw_(
                    self.weights[run, part],
                    grads[run, part],
                    self.first[run, part],
                    self.second[run, part],
                    adam_step,
                    lr=rates[run][segment.column],
                    beta1=own.beta1,
                    beta2=own.beta2,
                    weight_decay=own.weight_decay if segment.decayed else 0.0,
                    eps=own.eps,
                )
        return norms

    def keep(self, runs: Sequence[int]) -> None:
        """Keep only these runs, given in their order."""
        self.weights, self.first, self.second = (
            compacted(tensor, runs) for tensor in (self.weights, self.first, self.second)
        )
        self.options = [self.options[run] for run in runs]
        self.segments = [self.segments[run] for run in runs]
        self.decayed = [self.decayed[run] for run in runs]

    def _clip(self, grads: torch.Tensor) -> torch.Tensor:
        """Clip the gradients by each run's options; return the (run,) norms before clipping."""
        # One reduction per run. Beyond 2**31 bytes torch would cut one over several runs into parts that
        # depend on their number, and the layout of a sum on its part: norms would depend on the slot.
        norms = torch.cat([torch.linalg.vector_norm(own[None], dim=1) for own in grads.unbind()])
        for run, own in enumerate(self.options):
            if own.clip_mode == "global":
                scale = torch.clamp(own.clip_norm / (norms[run] + 1e-6), max=1.0)
                # On a CPU reading the scale is free, and most updates are not clipped.
                if grads.device.type != "cpu" or float(scale) != 1.0:
                    grads[run].mul_(scale)
                    # A NaN scale would stay in the gaps between tensors, which are never written
                    # again, and spoil the norm of the next run that uses this memory.
                    grads[run].index_fill_(0, self._gaps, 0.0)
            elif own.clip_mode == "tensor":
                tensors = [
                    grads[run, piece.start : piece.stop] for piece in self.layout.pieces.values()
                ]
                scales = [
                    torch.clamp(own.clip_norm / (norm + 1e-6), max=1.0)
                    for norm in foreach_norm(tensors)
                ]
                foreach_mul_(tensors, scales)
        return norms


def compacted(tensor: torch.Tensor, runs: Sequence[int]) -> torch.Tensor:
    """Move rows to the front of a tensor, in place, and return them as a view.

    A copy would hold the old and the new rows together, which a full GPU has no room for. The
    memory of the others is freed with the tensor.

    Parameters
    ----------
    tensor : (run, ...) tensor
    runs : sequence of int
        Rows to keep, in increasing order.
    """
    for place, run in enumerate(runs):
        if place != run:
            tensor[place].copy_(tensor[run])
    return tensor[: len(runs)]
