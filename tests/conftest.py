"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run side by side on few cores, and what is bitwise is so for a number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data and weights, where there is one."""
    place = os.environ.get("SEEDLAB_DATA")
    if not place:
        pytest.skip("SEEDLAB_DATA is not set: no real data or weights to test on")
    return Path(place)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tokenised tasks and hashes of the tests out of the user's cache."""
    os.environ["SEEDLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
