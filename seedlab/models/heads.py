"""Classifier heads that replace an architecture's own head and the encoder's pooler.

A head reads hidden states: number 0 is the output of the embeddings, number i the output of
the i-th layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from seedlab.models.keyed_dropout import DropoutSite, DropoutState, KeyedDropout, site_number
from seedlab.techniques.head import CNN_KERNEL, hidden_states

SITE = "head.dropout"
"""Name of the dropout before the last linear map."""

_ATTENTION_WIDTH = 512


class HeadChoice(NamedTuple):
    """The kind of a head and the hidden states that it reads.

    Parameters
    ----------
    kind : str
        ``token0`` reads the first token of one hidden state, ``attention`` all its tokens.
        ``concat``, ``mean``, ``max``, ``scalar_mix`` and ``cnn`` read the first tokens of several.
    layers : int
        Number of top layers that concat, mean, max, scalar_mix or cnn read.
    layer : int
        Number of the hidden state that token0 or attention reads; negative: from the last.
    """

    kind: str
    layers: int
    layer: int


class Head(nn.Module):
    """A linear map of the concatenated hidden states: ``token0`` and ``concat``.

    Parameters
    ----------
    width : int
        Features of a token.
    hidden : tuple of int
        Numbers of the hidden states that the head reads.
    n_labels : int
        Classes; 1 for regression.
    dropout : torch.nn.Module
        Applied before the last linear map.
    """

    reads_first_tokens = True

    def __init__(
        self, width: int, hidden: tuple[int, ...], n_labels: int, dropout: nn.Module
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.dropout = dropout
        self.out = nn.Linear(self._width(width), n_labels)

    def read(self, states: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return (row, layer, feature) first tokens of (row, position, feature) states."""
        return torch.stack([states[number][:, 0] for number in self.hidden], 1)

    def forward(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (row, class) logits; `mask` is 0 where a token is padding."""
        out: torch.Tensor = self.out(self.dropout(self._join(read, mask)))
        return out

    def _width(self, width: int) -> int:
        return width * len(self.hidden)

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return read.flatten(1)


class _OneWidth(Head):
    """Base of heads whose last linear map reads one vector of a token's width."""

    def _width(self, width: int) -> int:
        return width


class MeanHead(_OneWidth):
    """A linear map of the layers' mean."""

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return read.mean(1)


class MaxHead(_OneWidth):
    """A linear map of the layers' maximum, feature by feature."""

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return read.amax(1)


class ScalarMixHead(_OneWidth):
    """A linear map of a learned weighted mean of the layers (Peters et al. 2018).

    The weights are a softmax of one score per layer; they start equal. ELMo's overall factor is
    left out, because the linear map can learn it.
    """

    def __init__(self, width: int, hidden: tuple[int, ...], *more: Any) -> None:
        super().__init__(width, hidden, *more)
        self.scores = nn.Parameter(torch.zeros(len(hidden)))

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.einsum("l,rlf->rf", torch.softmax(self.scores, 0), read)


class AttentionHead(_OneWidth):
    """A linear map of a weighted mean of a hidden state's tokens, without padding.

    The weights are the softmax of the tokens' scores. A score is a linear map to 512 features,
    tanh, and a linear map to 1.
    """

    reads_first_tokens = False

    def __init__(self, width: int, *more: Any) -> None:
        super().__init__(width, *more)
        self.dense = nn.Linear(width, _ATTENTION_WIDTH)
        self.score = nn.Linear(_ATTENTION_WIDTH, 1)

    def read(self, states: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the (row, position, feature) hidden state."""
        return states[self.hidden[0]]

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = self.score(torch.tanh(self.dense(read)))[..., 0]
        shares = torch.softmax(scores.masked_fill(mask == 0, float("-inf")), 1)
        return torch.einsum("rp,rpf->rf", shares, read)


class ConvolutionHead(_OneWidth):
    """A linear map of a convolution over the layers, after ReLU and maximum over its positions.

    The kernel spans 3 neighbouring layers and has as many output features as input features.
    """

    def __init__(self, width: int, *more: Any) -> None:
        super().__init__(width, *more)
        self.convolution = nn.Conv1d(width, width, CNN_KERNEL)

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(read.transpose(1, 2))).amax(2)


_KINDS: dict[str, type[Head]] = {
    "token0": Head,
    "concat": Head,
    "mean": MeanHead,
    "max": MaxHead,
    "scalar_mix": ScalarMixHead,
    "attention": AttentionHead,
    "cnn": ConvolutionHead,
}


class Logits(NamedTuple):
    """Output of a model: (row, class) logits, under the attribute name of transformers."""

    logits: torch.Tensor


class HeadedModel(nn.Module):
    """An encoder with one of the heads of this module.

    The encoder has the same parameter names as in the architecture's own classifier.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A sequence classifier with keyed dropout, or an encoder. Its encoder becomes part of this
        model, and loses its pooler.
    choice : HeadChoice
    state : DropoutState
        The model's dropout state.
    p : float
        Probability of dropout before the last linear map.

    Raises
    ------
    SeedlabError
        When the model lacks the hidden states that the head reads.
    """

    def __init__(
        self, model: PreTrainedModel, choice: HeadChoice, state: DropoutState, p: float
    ) -> None:
        super().__init__()
        self.config = model.config
        self.base_model_prefix = model.base_model_prefix
        encoder = model.base_model
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.add_module(self.base_model_prefix, encoder)
        hidden = hidden_states(*choice, int(model.config.num_hidden_layers))
        dropout = KeyedDropout(p, DropoutSite(state, site_number(SITE), p))
        made = _KINDS[choice.kind](
            int(model.config.hidden_size), hidden, int(model.config.num_labels), dropout
        )
        self.head = made.to(encoder.device, encoder.dtype)

    @property
    def base_model(self) -> PreTrainedModel:
        """The encoder."""
        return self.get_submodule(self.base_model_prefix)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def read(self, attention_mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the encoder's outputs for the head: the first argument of `Head.forward`.

        The shape is (row, layer, feature), or (row, position, feature) for an `AttentionHead`.
        The arguments are those of `forward`.
        """
        out = self.base_model(attention_mask=attention_mask, output_hidden_states=True, **inputs)
        return self.head.read(out.hidden_states)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> Logits:
        """Return the logits of a batch."""
        inputs = {"input_ids": input_ids}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        return Logits(self.head(self.read(attention_mask, **inputs), attention_mask))


def own_dropout(model: PreTrainedModel) -> float:
    """Return the dropout probability before the last linear map of an architecture's own head.

    This is the last dropout module outside the encoder; 0 without one.
    """
    base = f"{model.base_model_prefix}."
    found = [
        module.p
        for name, module in model.named_modules()
        if isinstance(module, KeyedDropout) and not name.startswith(base)
    ]
    return found[-1] if found else 0.0
