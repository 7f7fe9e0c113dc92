"""Keyed dropout: masks that are a pure function of (seed, step, site, row, element).

It replaces the `torch.nn.Dropout` modules and the attention function of a transformers model,
and never draws from a generator. The strides of a mask's counter are fixed by the configured
maximum length. So a mask depends neither on padding nor on the other examples of a batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from seedlab.compat.transformers_private import register_attention, use_attention
from seedlab.errors import SeedlabError
from seedlab.randomness.philox import Key, kept_on_device, philox4x32

ATTENTION = "seedlab_keyed"
_HOST = torch.device("cpu")


@dataclass
class DropoutState:
    """State that all dropout sites of a model share; the engine sets it before every pass.

    Parameters
    ----------
    max_length : int
        Configured maximum length in tokens: the stride of positions.
    key : (int, int), or two () tensors of int64 on the model's device
        Words of the `dropout` stream's key (`seedlab.randomness.streams.philox_key`).
    step : int, or () tensor of int64 on the model's device
        Number of the update, counted from 0.
    row : int
        Index in the batch of this pass's first example; not 0 in the later parts of an
        accumulated batch.
    active : bool
        False disables every site.
    """

    max_length: int
    key: Key = (0, 0)
    step: int | torch.Tensor = 0
    row: int = 0
    active: bool = True

    def begin(self, step: int, active: bool) -> None:
        """Set the update and whether its masks are drawn; a step in a tensor keeps its memory."""
        self.active = active
        if isinstance(self.step, torch.Tensor):
            self.step.fill_(step)
        else:
            self.step = step

    def in_tensors(self, device: torch.device) -> None:
        """Put key and step into tensors, so that a recording reads them anew when it is replayed."""
        first, second = (torch.tensor(int(word), device=device) for word in self.key)
        self.key = first, second
        self.step = torch.tensor(int(self.step), device=device)


@dataclass(frozen=True)
class DropoutSite:
    """A dropout site: one place in a model where elements are dropped.

    Parameters
    ----------
    state : DropoutState
    number : int
        In [0, 2**32): the first four bytes of SHA-256 of the module's name.
    p : float, optional
        Probability instead of the model's own; None: the model's own.
    """

    state: DropoutState
    number: int
    p: float | None = None

    def __call__(self, x: torch.Tensor, p: float) -> torch.Tensor:
        """Return `x` with elements dropped with probability `p`, and the others scaled by 1/(1-p)."""
        p = p if self.p is None else self.p
        if p <= 0.0 or not self.state.active:
            return x
        mask = scaled_mask(tuple(x.shape), p, self.number, self.state, x.device)
        # The scale is a float32: rounded to bfloat16, 1/(1-.1) would be 1.109375.
        return (x * mask).to(x.dtype)


def site_number(name: str) -> int:
    """Return the number of the dropout site with a module's name, in [0, 2**32)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def scaled_mask(
    shape: tuple[int, ...],
    p: float,
    site: int,
    state: DropoutState,
    device: torch.device = _HOST,
) -> torch.Tensor:
    """Return a mask of zeros and 1/(1-p).

    Parameters
    ----------
    shape : tuple of int
        (row, feature), (row, position, feature) or, for attention probabilities,
        (row, head, query, key).
    p : float
        In (0, 1): an element is kept where its random word is at least floor(p 2**32).
    site : int
        See `site_number`.
    state : DropoutState
    device : torch.device
        On a CPU numpy draws, unless the state is in tensors; elsewhere torch draws, on the device.

    Returns
    -------
    tensor of float32, of `shape`
        The counter's words are (element // 4, row, site, step), and word number (element % 4) of
        the block decides. An element's number is feature + H position with H features, rounded
        up to a multiple of 4. For attention it is key + M (query + L head). L is the maximum
        length, and M is L rounded up to a multiple of 4.
    """
    quads = -(-shape[-1] // 4)
    threshold, scale = int(p * 2**32), np.float32(1.0 / (1.0 - p))
    if device.type != "cpu" or isinstance(state.step, torch.Tensor):
        kept = _kept(shape, quads, site, state, threshold, device)
        return kept[..., : shape[-1]].to(torch.float32) * float(scale)
    element = np.arange(quads, dtype=np.uint64)
    if len(shape) == 4:
        stride = -(-state.max_length // 4)
        lines = np.arange(shape[1])[:, None] * state.max_length + np.arange(shape[2])
        element = lines.astype(np.uint64)[..., None] * np.uint64(stride) + element
    elif len(shape) == 3:
        element = np.arange(shape[1], dtype=np.uint64)[:, None] * np.uint64(quads) + element
    rows = np.arange(state.row, state.row + shape[0], dtype=np.uint64)
    words = philox4x32(
        element[None],
        rows.reshape((-1,) + (1,) * (len(shape) - 1)),
        np.array(site, dtype=np.uint64)[None],
        np.array(state.step, dtype=np.uint64)[None],
        state.key,
    )
    mask = np.empty((*shape[:-1], quads, 4), dtype=np.float32)
    for word, drawn in enumerate(words):
        np.multiply(drawn >= threshold, scale, out=mask[..., word])
    return torch.from_numpy(mask.reshape(*shape[:-1], 4 * quads)[..., : shape[-1]])


def _kept(
    shape: tuple[int, ...],
    quads: int,
    site: int,
    state: DropoutState,
    threshold: int,
    device: torch.device,
) -> torch.Tensor:
    """Return which elements are kept, of `shape` with the last axis rounded up to 4 `quads`."""
    element = torch.arange(quads, device=device)
    if len(shape) == 4:
        lines = torch.arange(shape[1], device=device)[:, None] * state.max_length
        lines = lines + torch.arange(shape[2], device=device)
        element = lines[..., None] * -(-state.max_length // 4) + element
    elif len(shape) == 3:
        element = torch.arange(shape[1], device=device)[:, None] * quads + element
    rows = torch.arange(state.row, state.row + shape[0], device=device)
    rows = rows.reshape((-1,) + (1,) * (len(shape) - 1))
    return kept_on_device(element[None], rows, site, state.step, state.key, threshold)


class KeyedDropout(nn.Module):
    """A replacement of `torch.nn.Dropout` with the masks of a dropout site."""

    def __init__(self, p: float, site: DropoutSite) -> None:
        super().__init__()
        self.p = p
        self.site = site

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop elements of `x` in training mode; return it unchanged otherwise."""
        return self.site(x, self.p) if self.training else x


def keyed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention over (row, head, position, feature) with keyed dropout.

    The signature is that of `transformers.AttentionInterface`; `module` carries the site.
    Keys and values may have fewer heads, each shared by as many neighbouring heads of the query.

    Raises
    ------
    SeedlabError
        When the model asks for attention of another kind.
    """
    for name in _OTHER_KINDS:
        if more.get(name) is not None:
            raise SeedlabError(
                f"{type(module).__name__} computes attention with '{name}', which seedlab's keyed "
                "attention does not know; allowed are models with plain softmax attention."
            )
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (t.repeat_interleave(groups, dim=1) for t in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3))
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = torch.softmax(scores, dim=-1)
    if module.training:
        probabilities = module.__dict__["dropout_site"](probabilities, dropout)
    mixed = torch.matmul(probabilities, value).transpose(1, 2).contiguous()
    return mixed, probabilities


# Arguments of transformers' attention functions that keyed attention does not implement.
_OTHER_KINDS = ("softcap", "s_aux", "position_bias")

register_attention(ATTENTION, keyed_attention)


def install(model: PreTrainedModel, max_length: int, p: float | None = None) -> DropoutState:
    """Replace every dropout of a model by keyed dropout, in place.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    max_length : int
        Configured maximum length in tokens.
    p : float, optional
        Probability for every site; None keeps the model's own.

    Returns
    -------
    DropoutState
        Shared by all sites.
    """
    state = DropoutState(max_length)
    for name, module in list(model.named_modules()):
        site = DropoutSite(state, site_number(name), p)
        if isinstance(module, nn.Dropout):
            parent, _, leaf = name.rpartition(".")
            keyed = KeyedDropout(module.p if p is None else p, site)
            keyed.train(module.training)
            setattr(model.get_submodule(parent), leaf, keyed)
        else:
            # Attention functions get the attention module itself: it carries its site.
            module.__dict__["dropout_site"] = site
    use_attention(model, ATTENTION)
    return state
