"""The first cases of every soak suite; `make soak` runs all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.cases import KINDS, kind_module, run_case

pytestmark = pytest.mark.slow


def cases() -> Iterator[tuple[str, int]]:
    for kind in KINDS:
        if module := kind_module(kind):
            yield from ((kind, seed) for seed in range(module.SHORT))


@pytest.mark.parametrize(("kind", "seed"), list(cases()))
def test_nothing_is_lost_and_no_traceback_is_printed(kind: str, seed: int, tmp_path: Path) -> None:
    result = run_case(kind, seed, tmp_path / "case")
    assert result.ok, f"{result.label}: {result.message}"
