"""Keyed dropout on ragged batches: the masks of `seedlab.models.keyed_dropout`, without padding.

The counters are the same, so a token's mask is the same in every engine. No mask is drawn for
padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seedlab.engines.packed.encoder.architecture import EncoderArchitecture
from seedlab.engines.packed.encoder.ragged_batch import Ragged
from seedlab.models.keyed_dropout import site_number
from seedlab.randomness.philox import kept_on_device, philox4x32

_BLOCK = 16384
"""Counters per call on a CPU: fewer make the calls' overhead count, more exceed the caches."""


@dataclass(frozen=True)
class Site:
    """A dropout site of the stacked encoder.

    Parameters
    ----------
    name : str
        Module name; it keys the site's masks.
    p : float
        Probability in (0, 1).
    kind : str
        Shape of the mask. ``tokens``: (token, feature). ``first``: (row, feature), for states of
        the first tokens. ``attention``: (row, head, query, key). ``first_attention``:
        (row, head, 1, key), with the first token as the only query.
    size : int
        Features, or heads for attention.
    """

    name: str
    p: float
    kind: str
    size: int


def sites_of(architecture: EncoderArchitecture, widths: dict[str, int]) -> tuple[Site, ...]:
    """Return the dropout sites of an architecture, in the order of the forward pass.

    Parameters
    ----------
    architecture : EncoderArchitecture
    widths : mapping of site to int
        Features at every site that is not attention.
    """
    kinds = {architecture.embedding_site: "tokens"}
    for number, layer in enumerate(architecture.layers):
        last = number == len(architecture.layers) - 1
        kinds[layer.attention_site] = "first_attention" if last else "attention"
        for name in (layer.output_site, layer.down_site):
            if name is not None:
                kinds[name] = "first" if last else "tokens"
    for name in (architecture.dense_site, architecture.out_site):
        if name is not None:
            kinds[name] = "first"
    return tuple(
        Site(name, architecture.dropout[name], kind, widths.get(name, architecture.heads))
        for name, kind in kinds.items()
        if name in architecture.dropout
    )


def draw_mask(
    site: Site,
    ragged: Ragged,
    key: tuple[int, int],
    step: int | torch.Tensor,
    max_length: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Return a mask of zeros and 1/(1-p).

    Parameters
    ----------
    site : Site
    ragged : Ragged
    key : (int, int)
        Words of the `dropout` stream's key (`seedlab.randomness.streams.philox_key`).
    step : int or () tensor of int64 on the device
        Number of the update. With a tensor, torch computes the mask from its value, so the work
        can be captured as a CUDA graph.
    max_length : int
        Configured maximum length in tokens.
    dtype : torch.dtype

    Returns
    -------
    tensor of `dtype`, on the device of `ragged`
        The site's kind decides the shape. `seedlab.models.keyed_dropout.scaled_mask` describes the
        counters.
    """
    device = ragged.rows.device
    rows = torch.arange(ragged.first_row, ragged.first_row + ragged.n_rows, device=device)
    if site.kind == "tokens":
        quads = -(-site.size // 4)
        lines, examples, width = ragged.places * quads, ragged.rows, site.size
        shape: tuple[int, ...] = (ragged.n_tokens, site.size)
    elif site.kind == "first":
        quads = -(-site.size // 4)
        lines, examples, width = torch.zeros_like(rows), rows, site.size
        shape = (ragged.n_rows, site.size)
    else:
        queries = ragged.longest if site.kind == "attention" else 1
        quads, width = -(-ragged.longest // 4), ragged.longest
        line = torch.arange(site.size, device=device)[:, None] * max_length
        line = ((line + torch.arange(queries, device=device)) * -(-max_length // 4)).flatten()
        lines = line.repeat(ragged.n_rows)
        examples = rows.repeat_interleave(len(line))
        shape = (ragged.n_rows, site.size, queries, ragged.longest)
    number, scale = site_number(site.name), float(np.float32(1.0 / (1.0 - site.p)))
    threshold = int(site.p * 2**32)
    if device.type == "cpu" and isinstance(step, int):
        mask = _draw_with_numpy(lines, examples, quads, number, step, key, threshold, scale)
    else:
        elements = lines[:, None] + torch.arange(quads, device=device)
        kept = kept_on_device(elements, examples[:, None], number, step, key, threshold)
        mask = kept.to(torch.float32) * scale
    return mask[:, :width].reshape(shape).to(dtype)


def _draw_with_numpy(
    lines: torch.Tensor,
    examples: torch.Tensor,
    quads: int,
    site: int,
    step: int,
    key: tuple[int, int],
    threshold: int,
    scale: float,
) -> torch.Tensor:
    """Return a (line, 4 quads) mask of float32, drawn on the CPU with numpy."""
    n = len(lines)
    mask = np.empty((n, quads, 4), dtype=np.float32)
    starts, rows = lines.numpy().astype(np.uint64), examples.numpy().astype(np.uint64)
    element = np.arange(quads, dtype=np.uint64)
    c2, c3 = np.array([[site]], dtype=np.uint64), np.array([[step]], dtype=np.uint64)
    at_once = max(1, _BLOCK // quads)
    for begin in range(0, n, at_once):
        part = slice(begin, begin + at_once)
        words = philox4x32(starts[part, None] + element, rows[part, None], c2, c3, key)
        for number, word in enumerate(words):
            np.multiply(word >= threshold, np.float32(scale), out=mask[part, :, number])
    return torch.from_numpy(mask.reshape(n, 4 * quads))


def stack_masks(masks: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the masks of a stack's runs as one mapping of site to mask.

    Masks of a single run are returned unchanged. Masks of several runs get a leading run axis, of
    length 1 if all runs share one mapping.
    """
    if len(masks) == 1:
        return masks[0]
    if all(mask is masks[0] for mask in masks):
        return {name: mask[None] for name, mask in masks[0].items()}
    ones = {name: torch.ones_like(mask) for some in masks for name, mask in some.items()}
    return {
        name: torch.stack([mask.get(name, one) for mask in masks]) for name, one in ones.items()
    }
