"""Budgets of kernels, bytes and memory at published sizes, counted on a GPU that is not there."""

from __future__ import annotations

import pytest

from seedlab.engines.packed.memory import check_fits, fitting_width
from seedlab.errors import SeedlabError
from tests.suites.fake_gpu.sizes import pack_on_fake_gpu
from tests.suites.fake_gpu.training import FREE, GIB

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("model", "width", "rows", "kernels", "gigabytes", "peak"),
    [
        ("BERT-base", 5, 16, 1400, 30.0, 24),
        ("BERT-large", 13, 16, 1100, 75.0, 138),
    ],
)
def test_an_update_stays_within_its_budget(
    model: str, width: int, rows: int, kernels: int, gigabytes: float, peak: int
) -> None:
    """At most so many kernels and GB per run and update, and GiB of the pack in training."""
    with pack_on_fake_gpu(model, width, rows=rows) as pack:
        pack.update()
        costs = pack.update()
        assert costs.kernels <= kernels * width
        assert costs.bytes <= gigabytes * width * 1e9
        assert pack.peak <= peak * GIB
        assert not pack.gpu.errors


@pytest.mark.parametrize(
    ("model", "width", "options"),
    [
        ("BERT-base", 1, {}),
        ("BERT-base", 5, {"rows": 32}),
        ("BERT-base", 4, {"own_dropout": True}),
        ("BERT-base", 4, {"graphs": True}),
        ("BERT-large", 3, {}),
        ("RoBERTa-base", 4, {}),
        ("DistilBERT", 4, {}),
    ],
)
def test_the_plan_is_what_is_allocated(model: str, width: int, options: dict[str, int]) -> None:
    """Within 5 %, training and scoring: a larger plan refuses packs, a smaller one overfills."""
    with pack_on_fake_gpu(model, width, **options) as pack:  # type: ignore[arg-type]
        for _ in range(3):
            pack.update()
        pack.score()
        pack.update()
        assert pack.shape.needed(width) == pytest.approx(pack.peak, rel=0.05)


def test_the_width_that_fits_neither_overfills_nor_is_refused() -> None:
    with pack_on_fake_gpu("BERT-base", 2) as pack:
        width = fitting_width(pack.shape, FREE, None)
    with pack_on_fake_gpu("BERT-base", width, free=FREE) as pack:
        pack.update()
        pack.score()
        pack.update()
        assert 0.85 * FREE < pack.peak < FREE
        with pytest.raises(SeedlabError, match=f"engine.width={width}"):
            check_fits(pack.shape, width + 1, FREE, None)
