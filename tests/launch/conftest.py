"""Launching the toy application, in this process or as a script; a grid that nothing stops."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from search_bench import Bench
from stopping_race import ENGINE, STEP, cells, train
from toy_bench import Toy

from seedlab.grid import form_packs
from seedlab.store.study import Study

# Registers all launchers before Hydra's fixture remembers what is registered: Hydra 1.4
# does not register them again when the fixture puts that back.
Plugins.instance()


@pytest.fixture
def toy(tmp_path: Path, hydra_restore_singletons: None) -> Iterator[Toy]:
    return Toy(tmp_path / "study")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "study")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The full grid, trained without a policy."""
    study = Study(tmp_path_factory.mktemp("whole") / "study")
    study.plan(cells())
    train(study.folder, form_packs(cells(), ENGINE))
    return study


@pytest.fixture(scope="session")
def expected(whole: Study) -> list[str]:
    """Who goes on, by a sort in plain Python over the full grid's curves, ties by their hash."""
    bests = {
        run_id: max(whole.curve(record, STEP).values())
        for run_id, record in whole.finished().items()
    }
    ties = {run: hashlib.blake2b(f"tie/0/{run}".encode(), digest_size=8).digest() for run in bests}
    return sorted(bests, key=lambda run: (-bests[run], ties[run]))[:2]
