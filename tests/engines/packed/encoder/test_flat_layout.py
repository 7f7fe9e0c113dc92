"""The layout of a run's parameters in one vector, and restoring them into the model."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch

from tests.suites.stacked_case import Case
from tests.suites.tiny import tiny_weights


def test_a_model_is_restored_from_its_vector(tmp_path: Path) -> None:
    """Embedding rows that the task never uses are the initial ones times the decay factor."""
    case = Case(tiny_weights(tmp_path), [2])
    before = {name: p.clone() for name, p in case.weights.model.named_parameters()}
    case.layout.restore(case.flat[0] * 2.0, case.weights.model, decay=0.5)
    for name, p in case.weights.model.named_parameters():
        rows = case.layout.rows.get(name)
        expected = before[name] * 2.0
        if rows is not None:
            expected = before[name] * 0.5
            expected[rows] = before[name][rows] * 2.0
        assert torch.equal(p, expected), name


def test_parameters_do_not_overlap(tmp_path: Path) -> None:
    """No two pieces overlap, decayed ones come first, and gaps stay zero."""
    layout = Case(tiny_weights(tmp_path, "electra"), [0]).layout
    pieces = sorted(layout.pieces.values(), key=lambda piece: piece.start)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(pieces))
    assert pieces[-1].stop <= layout.size
    for name, piece in layout.pieces.items():
        exempt = name.endswith("bias") or "LayerNorm" in name
        assert (piece.start >= layout.decayed) == exempt, name


def test_biases_and_norms_of_a_stack_lie_close_together(tmp_path: Path) -> None:
    """As far apart as the runs' vectors, a GPU reads them in one kernel per run beyond 2**31 bytes."""
    layout = Case(tiny_weights(tmp_path), [0]).layout
    flat = torch.arange(2 * layout.size).view(2, layout.size)
    copied = flat[:, layout.decayed :].clone()
    plain, close = layout.views(flat), layout.views(flat, exempt=copied)
    for name, view in close.items():
        assert torch.equal(view, plain[name]), name
        exempt = name.endswith("bias") or "LayerNorm" in name
        small = layout.size - layout.decayed
        assert view.stride(0) == (small if exempt else layout.size), name
