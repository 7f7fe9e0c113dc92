from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedlab.store.study import StudyFolder
from seedlab.tasks.encoded import EncodedTask
from tests.suites.store_cases import make_task


@pytest.fixture
def task() -> EncodedTask:
    return make_task()


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "studies" / "grid")


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hundreds of runs be written without waiting for the disk each time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
