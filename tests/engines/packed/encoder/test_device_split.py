"""Batches built on the device in a few shapes, compared with batches without padding."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedlab.engines.packed.encoder.architecture import describe
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.device_split import BatchShape, DeviceDataset
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.flat_layout import make_layout
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.ragged_batch import make_tables
from seedlab.engines.packed.encoder.ragged_dropout import Site, draw_mask, sites_of
from seedlab.training.batches import collate
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, tiny_task, tiny_weights

DEVICE = torch.device("cpu")
SPLIT = tiny_task().splits["train"]


@given(
    examples=st.lists(st.integers(0, len(SPLIT) - 1), min_size=1, max_size=9, unique=True),
    first_row=st.sampled_from([0, 4]),
    counted=st.booleans(),
)
def test_the_tokens_are_those_of_the_host(
    examples: list[int], first_row: int, counted: bool
) -> None:
    """A bucket begins with the tokens of the ragged batch; the others belong to no example."""
    padding = 6  # a token that occurs in the texts: it has no position of its own
    tables, _, _ = make_tables(torch.arange(5, 12), 50, MAX_LENGTH, padding, counted)
    indices = np.array(examples)
    host = collate(SPLIT, indices, pad_id=1)
    ragged = tables.ragged(host.ids, host.types, host.mask, first_row)
    resident = DeviceDataset(SPLIT.ids, SPLIT.types, SPLIT.offsets, SPLIT.labels, tables, DEVICE)
    shape = resident.shape(indices, first_row)
    found, labels = resident.part(torch.from_numpy(indices), shape)
    n = ragged.n_tokens
    for name in ("ids", "types", "positions", "rows", "places"):
        assert torch.equal(getattr(found, name)[:n], getattr(ragged, name)), name
    assert torch.equal(found.lengths, ragged.lengths)
    assert torch.equal(found.starts, ragged.starts)
    assert torch.equal(labels, host.labels)
    assert found.n_tokens == shape.tokens >= n
    assert found.longest == shape.places > ragged.longest
    assert bool((found.places[n:] == shape.places - 1).all())


def test_shapes_are_few() -> None:
    """Tokens in steps of 128; places in steps of 32, at least one unused, the same for all batches."""
    lengths = np.array([31, 5, 96, 1, 32])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tables, _, _ = make_tables(torch.arange(5, 12), 50, 96, 1, False)
    arrays = (np.full(offsets[-1], 7, np.int32), np.zeros(offsets[-1], np.int8), offsets)
    resident = DeviceDataset(*arrays, np.zeros(5, np.int64), tables, DEVICE)
    assert resident.shape(np.array([0, 1])) == BatchShape(2, 128, 128, 0)
    assert resident.shape(np.array([4, 2, 3]), 4) == BatchShape(3, 256, 128, 4)


@given(
    examples=st.lists(st.integers(0, len(SPLIT) - 1), min_size=1, max_size=9, unique=True),
    multiple=st.sampled_from([1, 4, 16]),
)
def test_tokens_are_filled_up_to_a_multiple(examples: list[int], multiple: int) -> None:
    """Real tokens come first; the others get a padding place of attention."""
    tables, _, _ = make_tables(torch.arange(5, 12), 50, MAX_LENGTH, 1, False)
    host = collate(SPLIT, np.array(examples), pad_id=1)
    ragged = tables.ragged(host.ids, host.types, host.mask, 4)
    found = ragged.filled(multiple)
    n = ragged.n_tokens
    assert found.n_tokens == -(-n // multiple) * multiple
    for name in ("ids", "types", "positions", "rows", "places"):
        assert torch.equal(getattr(found, name)[:n], getattr(ragged, name)), name
    own = found.lengths[found.rows[n:] - found.first_row]
    assert bool((own <= found.places[n:]).all() and (found.places[n:] < found.longest).all())
    assert found.longest - ragged.longest in (0, 1)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tokens_that_fill_a_bucket_change_nothing(
    architecture: str, runs: int, tmp_path: Path
) -> None:
    """Logits and gradients with dropout in float64; sums over more zeros round differently."""
    weights = tiny_weights(tmp_path, architecture, dtype=torch.float64)
    architecture = describe(weights.model)
    used = torch.from_numpy(np.unique(SPLIT.ids).astype(np.int64))
    vocabulary = len(weights.model.get_parameter(architecture.words))
    tables, words, positions = make_tables(
        used, vocabulary, MAX_LENGTH, architecture.padding, architecture.positions_count_tokens
    )
    layout = make_layout(
        weights.model, architecture, {architecture.words: words, architecture.positions: positions}
    )
    flat = torch.zeros(runs, layout.size, dtype=torch.float64)
    for seed, row in enumerate(flat):
        layout.fill(row, weights.start(seed))
    flat = flat[0] if runs == 1 else flat
    indices = np.array([3, 30, 11, 7, 19])
    host = collate(SPLIT, indices, pad_id=1)
    resident = DeviceDataset(SPLIT.ids, SPLIT.types, SPLIT.offsets, SPLIT.labels, tables, DEVICE)
    part = resident.part(torch.from_numpy(indices), resident.shape(indices))
    encoder = StackedEncoder(architecture, tables)
    widths = dict.fromkeys(architecture.dropout, 16)
    widths[architecture.embedding_site] = weights.model.get_parameter(architecture.words).shape[1]
    for layer in architecture.layers:
        widths.pop(layer.attention_site, None)
    found = []
    exact_batch = tables.ragged(host.ids, host.types, host.mask)
    for batch in (exact_batch, part[0], exact_batch.filled(16)):
        masks = {
            site.name: draw_mask(site, batch, (1, 2), 3, MAX_LENGTH, torch.float64)
            for site in sites_of(architecture, widths)
        }
        if runs > 1:
            masks = {name: mask[None] for name, mask in masks.items()}
        grads = torch.full_like(flat, float("nan"))
        work = Workspace(DEVICE, torch.float64, torch.float64)
        at = ForwardContext(layout.views(flat), batch, masks, work, layout.views(grads), runs=runs)
        logits = encoder.forward(at).clone()
        encoder.backward(at, torch.cos(logits))
        found.append((logits, {n: g.clone() for n, g in layout.views(grads).items()}))
    (exact, exact_grads), *others = found
    for filled, filled_grads in others:
        torch.testing.assert_close(filled, exact, rtol=1e-12, atol=1e-13)
        for name, grad in exact_grads.items():
            torch.testing.assert_close(filled_grads[name], grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["tokens", "first", "attention", "first_attention"])
def test_masks_of_real_tokens_are_those_of_the_host(kind: str) -> None:
    """Bit for bit, drawn by torch from a step in a tensor."""
    tables, _, _ = make_tables(torch.arange(5, 12), 50, MAX_LENGTH, 1, False)
    indices = np.array([3, 30, 11, 7])
    host = collate(SPLIT, indices, pad_id=1)
    exact = tables.ragged(host.ids, host.types, host.mask, 2)
    resident = DeviceDataset(SPLIT.ids, SPLIT.types, SPLIT.offsets, SPLIT.labels, tables, DEVICE)
    shape = resident.shape(indices, 2)
    filled, _ = resident.part(torch.from_numpy(indices), shape)
    site = Site("a.site", 0.2, kind, 3 if "attention" in kind else 10)
    wanted = draw_mask(site, exact, (1, 2), 5, MAX_LENGTH, torch.float32)
    found = draw_mask(site, filled, (1, 2), torch.tensor(5), MAX_LENGTH, torch.float32)
    if kind == "tokens":
        found = found[: len(wanted)]
    elif kind == "attention":
        found = found[:, :, : exact.longest, : exact.longest]
    elif kind == "first_attention":
        found = found[..., : exact.longest]
    assert torch.equal(found, wanted)
    assert dataclasses.replace(shape, first_row=0) == resident.shape(indices)
