"""Masks of the stacked encoder's dropout are those of the padded models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seedlab.engines.packed.encoder.ragged_dropout import Site, draw_mask
from seedlab.models.keyed_dropout import DropoutState, scaled_mask, site_number
from tests.suites.stacked_case import KEY, Case
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, tiny_weights


@pytest.mark.parametrize("seeds", [[3], [3, 4, 5]], ids=["one run", "three runs"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_falls_on_the_same_elements(
    architecture: str, seeds: list[int], tmp_path: Path
) -> None:
    """With keyed dropout in the model of transformers, float64; step 7."""
    case = Case(tiny_weights(tmp_path, architecture, dtype=torch.float64), seeds)
    state = case.weights.dropout
    state.key, state.step = KEY, 7
    case.weights.model.train()
    masks = case.masks(7)
    assert len(masks) == {"distilbert": 6}.get(architecture, 8)
    case.check(masks, 1e-10)


def test_ragged_masks_are_those_of_padded_dropout(tmp_path: Path) -> None:
    """Token by token, for every kind of site, also in a batch's later part; bit for bit."""
    case = Case(tiny_weights(tmp_path), [0])
    types = torch.zeros_like(case.ids)
    batch = case.encoder.tables.ragged(case.ids, types, case.mask, first_row=9)
    state = DropoutState(MAX_LENGTH, KEY, step=4, row=9)
    n, real = site_number("a.site"), case.mask.bool()
    for kind, size, shape in (
        ("tokens", 7, (5, 12, 7)),
        ("first", 7, (5, 7)),
        ("attention", 3, (5, 3, 12, 12)),
        ("first_attention", 3, (5, 3, 12, 12)),
    ):
        full = scaled_mask(shape, 0.3, n, state)
        expected = {"tokens": lambda m: m[real], "first_attention": lambda m: m[:, :, :1]}
        mask = draw_mask(Site("a.site", 0.3, kind, size), batch, KEY, 4, MAX_LENGTH, torch.float32)
        assert torch.equal(mask, expected.get(kind, lambda m: m)(full))


def test_masks_drawn_by_torch_are_those_drawn_by_numpy(tmp_path: Path) -> None:
    """The GPU's code path, run on the CPU, gives the same bits."""
    batch = Case(tiny_weights(tmp_path), [0]).batch
    for kind, size in (("tokens", 7), ("first", 7), ("attention", 3), ("first_attention", 3)):
        site = Site("a.site", 0.1, kind, size)
        by_numpy, by_torch = (
            draw_mask(site, batch, KEY, step, MAX_LENGTH, torch.float32)
            for step in (3, torch.tensor(3))
        )
        assert torch.equal(by_numpy, by_torch)
