"""One finished study of a small grid; every test file works on its own copy."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from tests.suites.small_grid import GRID


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished 2 x 2 study, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    with contextlib.chdir(folder):
        assert main(["run", *GRID]) == 0
    return folder


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one finished 2 x 2 study, which the tests read and extend."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        yield folder
