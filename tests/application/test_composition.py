"""Names and places are checked when a configuration is composed: Hydra writes files before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from seedlab.application.composition import Composition
from seedlab.errors import SeedlabError


def composed(**values: Any) -> DictConfig:
    hydra = {"job": {"name": "x"}, "run": {"dir": "a"}, "sweep": {"dir": "b"}}
    base = {"hydra": hydra, "study": "s", "studies_dir": "studies", "dry": False}
    return OmegaConf.create(base | values)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dry", [True, "${flag}"])
def test_files_of_a_dry_run_go_to_a_folder_that_is_removed(place: Path, dry: Any) -> None:
    config = composed(dry=dry, flag=True)
    with Composition(trust=False, only_asks=False) as checks:
        checks.check_whole(config)
        places = {Path(config.hydra.run.dir), Path(config.hydra.sweep.dir)}
        (scratch,) = places
        assert scratch.is_dir()
        assert not scratch.is_relative_to(place)
        (scratch / "multirun.yaml").touch()
    assert not scratch.exists()
    assert not list(place.iterdir())


def test_a_run_has_its_files_in_the_study(place: Path) -> None:
    config = composed()
    with Composition(trust=False, only_asks=False) as checks:
        checks.check_whole(config)
    assert (config.hydra.run.dir, config.hydra.sweep.dir) == ("a", "b")
    assert [path.name for path in place.iterdir()] == ["studies"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_refusal_leaves_nothing_of_a_study_that_never_began(place: Path, begun: bool) -> None:
    study = place / "studies/s"

    def refused() -> None:
        with Composition(trust=False, only_asks=False) as checks:
            checks.check_whole(composed())
            (study / "jobs/x/.hydra").mkdir(parents=True)
            (study / "multirun.yaml").touch()
            if begun:
                (study / "study.json").touch()
            raise SeedlabError("no")

    with pytest.raises(SeedlabError, match="no"):
        refused()
    left = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    whole = ["studies", "studies/s", "studies/s/jobs", "studies/s/jobs/x"]
    files = ["studies/s/jobs/x/.hydra", "studies/s/multirun.yaml", "studies/s/study.json"]
    assert left == ([*whole, *files] if begun else [])


def test_a_refusal_keeps_folders_that_were_there(place: Path) -> None:
    (place / "studies").mkdir()

    def refused() -> None:
        with Composition(trust=False, only_asks=False) as checks:
            checks.check_whole(composed(study="a/b/c"))
            (place / "studies/a/b/c").mkdir(parents=True)
            raise SeedlabError("no")

    with pytest.raises(SeedlabError, match="no"):
        refused()
    assert [path.name for path in place.rglob("*")] == ["studies"]


def test_a_command_that_asks_needs_no_folder(place: Path) -> None:
    with Composition(trust=False, only_asks=True) as checks:
        checks.check_whole(composed())
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    "study", ["..", "${hydra:job.name}/../..", "${oc.decode:'/etc'}", "${studies_dir}/.."]
)
def test_a_name_is_checked_as_it_resolves(place: Path, study: str) -> None:
    setup_globals()  # registers ${hydra:...}
    checks = Composition(trust=True, only_asks=False)
    with pytest.raises(SeedlabError, match="leads out of the folder of studies"):
        checks.check_whole(composed(study=study))
    assert not list(place.iterdir())


def test_a_study_that_a_sweep_names_is_checked_with_its_job() -> None:
    with Composition(trust=False, only_asks=True) as checks:
        checks.check_whole(composed(study="???"))
