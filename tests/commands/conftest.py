"""A study's folder and a task, for what the verbs say of them."""

from __future__ import annotations

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
