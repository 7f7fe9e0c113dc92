"""Keyed dropout compiled by torch: the same masks as in eager mode and numpy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from seedlab.engines.packed.encoder import ragged_dropout
from seedlab.engines.packed.encoder.ragged_batch import Tables
from seedlab.engines.packed.encoder.ragged_dropout import Site, draw_mask
from tests.suites.tiny import MAX_LENGTH, tiny_task

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ here"),
    # The compiler warns of its own use of deprecated functions.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("kind", ["tokens", "attention"])
def test_compiled_masks_are_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, at two steps of one compilation: the step is a tensor, not a constant."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    split = tiny_task().splits["train"]
    lengths = torch.from_numpy(split.lengths[:4])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    tables = Tables(torch.arange(50), 1, False)
    batch = tables.ragged(torch.full_like(mask, 7), torch.zeros_like(mask), mask, first_row=3)
    site = Site("a.site", 0.3, kind, 10 if kind == "tokens" else 2)

    def draw(step: torch.Tensor) -> torch.Tensor:
        return draw_mask(site, batch, (11, 12), step, MAX_LENGTH, torch.float32)

    plain = [draw(torch.tensor(step)) for step in (0, 5)]
    compiled = torch.compile(ragged_dropout.kept_on_device, fullgraph=True)
    monkeypatch.setattr(ragged_dropout, "kept_on_device", compiled)
    for step, eager in zip((0, 5), plain, strict=True):
        assert torch.equal(draw(torch.tensor(step)), eager)
        by_numpy = draw_mask(site, batch, (11, 12), step, MAX_LENGTH, torch.float32)
        assert torch.equal(by_numpy, eager)
        assert 0.5 < float((eager == 0).float().mean()) / site.p < 1.5
    assert not torch.equal(*plain)
