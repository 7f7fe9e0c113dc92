"""A grid of a few seconds, and the records of its study."""

from __future__ import annotations

import numpy as np

from seedlab.store.study import StudyFolder, find_study
from tests.suites.command_line import SMALL

GRID = ["-m", "study=small", *SMALL, "seed.init=0,1", "seed.order=0,1"]


def records(name: str = "small") -> dict[str, object]:
    return dict(find_study(name).records())


def logits_of(study: StudyFolder) -> dict[str, np.ndarray]:
    return {run_id: study.read(run_id).arrays.logits["dev"] for run_id in study.records()}
