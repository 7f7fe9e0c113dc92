"""Launching the toy application, in this process or as a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

from tests.suites.toy_bench import Toy

# Registers all launchers before Hydra's fixture remembers what is registered: Hydra 1.4
# does not register them again when the fixture puts that back.
Plugins.instance()


@pytest.fixture
def toy(tmp_path: Path, hydra_restore_singletons: None) -> Iterator[Toy]:
    return Toy(tmp_path / "study")
