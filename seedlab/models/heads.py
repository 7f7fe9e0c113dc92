"""Heads: what a classifier reads from the encoder, and how it decides.

A head reads hidden states: number 0 are the embeddings, number i the i-th layer's outputs. It
stands in the place of the architecture's own head, and of the encoder's pooler.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from seedlab.errors import SeedlabError
from seedlab.models.keyed_dropout import DropoutSite, DropoutState, KeyedDropout, site_number

SITE = "head.dropout"
"""Name of the dropout before the last linear map."""

_ATTENTION_WIDTH = 512
_KERNEL = 3


class HeadChoice(NamedTuple):
    """Which head, and over which hidden states.

    Parameters
    ----------
    kind : str
        ``token0``: the first token of a hidden state. ``concat``, ``mean``, ``max``,
        ``scalar_mix``, ``cnn``: the first tokens of several. ``attention``: all tokens of one.
    layers : int
        concat, mean, max, scalar_mix, cnn: so many of the top layers.
    layer : int
        token0, attention: number of the hidden state; negative ones count from the last.
    """

    kind: str
    layers: int
    layer: int


class Head(nn.Module):
    """A linear map of what is read, side by side: ``token0`` and ``concat``.

    Parameters
    ----------
    width : int
        Features of a token.
    hidden : sequence of int
        Which hidden states are read.
    n_labels : int
    dropout : torch.nn.Module
        Before the last linear map.
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
    """A head whose last map has the width of a token."""

    def _width(self, width: int) -> int:
        return width


class MeanHead(_OneWidth):
    """A linear map of the layers' mean."""

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return read.mean(1)


class MaxHead(_OneWidth):
    """A linear map of the layers' largest values."""

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return read.amax(1)


class ScalarMixHead(_OneWidth):
    """A linear map of a learned weighted mean of the layers (Peters et al. 2018).

    The weights are a softmax of one score per layer; they start equal. ELMo's overall factor is
    left out: the linear map has it.
    """

    def __init__(self, width: int, hidden: tuple[int, ...], *more: Any) -> None:
        super().__init__(width, hidden, *more)
        self.scores = nn.Parameter(torch.zeros(len(hidden)))

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.einsum("l,rlf->rf", torch.softmax(self.scores, 0), read)


class AttentionHead(_OneWidth):
    """A linear map of a weighted mean of a hidden state's tokens, padding left out.

    A token's weight is the softmax, over the text, of a score: linear map to 512, tanh, linear
    map to 1.
    """

    reads_first_tokens = False

    def __init__(self, width: int, *more: Any) -> None:
        super().__init__(width, *more)
        self.dense = nn.Linear(width, _ATTENTION_WIDTH)
        self.score = nn.Linear(_ATTENTION_WIDTH, 1)

    def read(self, states: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the (row, position, feature) hidden state itself."""
        return states[self.hidden[0]]

    def _join(self, read: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = self.score(torch.tanh(self.dense(read)))[..., 0]
        shares = torch.softmax(scores.masked_fill(mask == 0, float("-inf")), 1)
        return torch.einsum("rp,rpf->rf", shares, read)


class ConvolutionHead(_OneWidth):
    """A linear map of the largest values of a convolution over the layers.

    The kernel spans 3 neighbouring layers and has as many output as input features; then ReLU.
    """

    def __init__(self, width: int, *more: Any) -> None:
        super().__init__(width, *more)
        self.convolution = nn.Conv1d(width, width, _KERNEL)

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
    """What a model returns, as far as seedlab looks at it."""

    logits: torch.Tensor


class HeadedModel(nn.Module):
    """An encoder with a head of ours, named as in the architecture's own classifier.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A sequence classifier with keyed dropout; its encoder is taken over and loses its pooler.
    choice : HeadChoice
    state : DropoutState
        Of the model.
    p : float
        Probability of dropout before the last linear map.

    Raises
    ------
    SeedlabError
        When the model does not have the layers that are to be read.
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
        hidden = hidden_states(choice, int(model.config.num_hidden_layers))
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
        """Where the encoder lies."""
        return next(self.parameters()).device

    def read(self, attention_mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return what the head reads from the encoder; the arguments are those of `forward`."""
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
    """Return the probability of the dropout before the last map of an architecture's own head.

    It is the last dropout outside the encoder, as its configuration says; 0 where there is none.
    """
    base = f"{model.base_model_prefix}."
    found = [
        module.p
        for name, module in model.named_modules()
        if isinstance(module, KeyedDropout) and not name.startswith(base)
    ]
    return found[-1] if found else 0.0


def hidden_states(choice: HeadChoice, n_layers: int) -> tuple[int, ...]:
    """Return the numbers of the hidden states that a head reads.

    Raises
    ------
    SeedlabError
        When the model does not have them.
    """
    if choice.kind in ("token0", "attention"):
        if not -n_layers - 1 <= choice.layer <= n_layers:
            raise SeedlabError(
                f"recipe.head.layer={choice.layer} is not there: the model has {n_layers} layers, "
                f"whose hidden states are 0 (the embeddings) to {n_layers}, or counted from the "
                f"last -1 to {-n_layers - 1}."
            )
        return (choice.layer % (n_layers + 1),)
    least = _KERNEL if choice.kind == "cnn" else 1
    if not least <= choice.layers <= n_layers:
        span = f", because its kernel spans {_KERNEL} layers," if choice.kind == "cnn" else ""
        raise SeedlabError(
            f"recipe.head.layers={choice.layers} is not possible: recipe.head.kind={choice.kind} "
            f"reads at least {least}{span} and at most all of the model's {n_layers} layers; change "
            "recipe.head.layers, or use another recipe.head.kind."
        )
    return tuple(range(n_layers + 1 - choice.layers, n_layers + 1))
