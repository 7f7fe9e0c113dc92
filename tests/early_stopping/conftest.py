"""A grid that nothing stops, trained once."""

from __future__ import annotations

import hashlib

import pytest

from seedlab.spec.pack import form_packs
from seedlab.store.study import StudyFolder
from tests.suites.stopping_cohort import ENGINE, STEP, cells, train


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The full grid, trained without a policy."""
    study = StudyFolder(tmp_path_factory.mktemp("whole") / "study")
    study.begin(cells())
    train(study.folder, form_packs(cells(), ENGINE))
    return study


@pytest.fixture(scope="session")
def expected(whole: StudyFolder) -> list[str]:
    """The promoted runs, by a sort in plain Python over the full grid's curves, ties by their hash."""
    bests = {
        run_id: max(whole.curve(record, STEP).values())
        for run_id, record in whole.records().items()
    }
    ties = {run: hashlib.blake2b(f"tie/0/{run}".encode(), digest_size=8).digest() for run in bests}
    return sorted(bests, key=lambda run: (-bests[run], ties[run]))[:2]
