from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_cases import make_task

from seedlab.store import Study
from seedlab.tasks.encoded import EncodedTask


@pytest.fixture
def task() -> EncodedTask:
    return make_task()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "studies" / "grid")


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hundreds of runs be written without waiting for the disk each time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
