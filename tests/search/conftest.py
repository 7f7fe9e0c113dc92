"""A bench for searches, and the toy application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

from tests.suites.search_bench import Bench
from tests.suites.toy_bench import Toy

# Registers all launchers before Hydra's fixture remembers what is registered: Hydra 1.4
# does not register them again when the fixture puts that back.
Plugins.instance()


@pytest.fixture
def toy(tmp_path: Path, hydra_restore_singletons: None) -> Iterator[Toy]:
    return Toy(tmp_path / "study")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "study")
