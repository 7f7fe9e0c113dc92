"""The plan of a cohort before and between its stages: packs, costs, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from seedlab.early_stopping.cohort import Cohort
from seedlab.errors import SeedlabError
from seedlab.spec.pack import Stage, repack
from seedlab.spec.run import RunSpec, Seeds
from tests.suites.stopping_cohort import ENGINE, POLICY, cells


def test_what_is_left_of_columns_is_dealt_out_evenly() -> None:
    """Survivors 5 + 1 + 1 on two workers: 4 and 3, not 5 and 2; every run once."""
    left = [RunSpec(seeds=Seeds(i, 0)) for i in range(5)]
    left += [RunSpec(seeds=Seeds(0, order)) for order in (1, 2)]
    packs = repack(left, dataclasses.replace(ENGINE, width=10), Stage(), 2)
    assert sorted(len(pack.runs) for pack in packs) == [3, 4]
    assert sorted(r.run_id for p in packs for r in p.runs) == sorted(r.run_id for r in left)
    narrow = repack(left, dataclasses.replace(ENGINE, width=2), Stage(), 2)
    assert max(len(pack.runs) for pack in narrow) <= 2
    assert repack([], ENGINE, Stage(), 2) == []


def test_early_stopping_of_one_run_is_refused(tmp_path: Path) -> None:
    from seedlab.commands.cli import main

    policy = ["early_stopping=start_many", "early_stopping.continued=1"]
    assert main(["run", "study=s", f"studies_dir={tmp_path}", *policy]) == 2
    with pytest.raises(SeedlabError, match="compares runs with each other, and this is one run"):
        _run_one(tmp_path, policy)


def _run_one(place: Path, policy: list[str]) -> None:
    from hydra import compose, initialize_config_dir

    from seedlab.application.app import run
    from seedlab.paths import conf_folder

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("config", overrides=["study=s", f"studies_dir={place}", *policy]))


def test_the_plan_says_what_it_costs_and_how_much_disk_it_takes(tmp_path: Path) -> None:
    drawn = dataclasses.replace(POLICY, started=4)
    words = "\n".join(Cohort(tmp_path / "s", cells(), drawn, ENGINE).plan_text(2))
    assert (
        "start_many of 4 of 6 cells, drawn by early_stopping.seed=0, whole columns first" in words
    )
    assert "2 after step 4 (50.0%)" in words
    assert "3.00 full trainings in place of 4" in words
    assert "at most 4 checkpoints of about 6.5 MB: 26 MB" in words
    assert np.isclose(4 * 0.5 + 2 * 0.5, 3.0)
