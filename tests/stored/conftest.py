"""Studies of an earlier release, unpacked; every test works on a copy of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORED = Path(__file__).parent / "0_1"


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """What 0.1 said of its studies."""
    return json.loads((STORED / "expected.json").read_text())


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the studies lie in, which nobody changes."""
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(STORED / "studies.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def place(unpacked: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that folder, in which the test runs."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        yield tmp_path
