"""`Composition`: the checks of every configuration that Hydra composes, before it is used."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import Container, DictConfig
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from seedlab.application.trust import check_foreign, is_installed
from seedlab.config.experiments import GROUP
from seedlab.config.study_name import check_job_name, check_study_name
from seedlab.errors import SeedlabError
from seedlab.store.study import is_study
from seedlab.store.writable import check_studies


class Composition:
    """Checks of configurations, which satisfy `seedlab.compat.hydra_private.CompositionChecks`.

    Hydra writes files before a run's settings are read. So names that become folders are checked
    here, and the files of a dry run go to a temporary folder, which is removed at the end of the
    ``with`` block. Where the block ends with a refusal, Hydra's files of a study that never began
    are removed too.

    Parameters
    ----------
    trust : bool
        Foreign files may set everything.
    only_asks : bool
        The command prints something and runs nothing, so that no folder is needed.
    """

    def __init__(self, *, trust: bool, only_asks: bool) -> None:
        self._trust = trust
        self._only_asks = only_asks
        self._scratch: str | None = None
        self._new_study: Path | None = None
        self._new_folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if kind is not None and issubclass(kind, SeedlabError):
            self._remove_unbegun()

    def check_file(self, root: str, name: str, config: Container) -> None:
        """Refuse what a foreign file may not set; see `seedlab.application.trust`."""
        if not self._trust and not is_installed(root, name):
            place = Path(root.partition("://")[2]) / f"{name.removeprefix(f'{GROUP}/')}.yaml"
            check_foreign(str(place), config)

    def check_whole(self, config: DictConfig) -> None:
        """Refuse names that are no folders, and places that can't be written to."""
        check_job_name(str(config.hydra.job.name))
        study, studies = _text(config, "study"), _text(config, "studies_dir")
        if study is not None:
            check_study_name(study)
        if self._only_asks:
            return
        if str(_text(config, "dry")).lower() == "true":
            self._redirect(config)
        elif studies is not None:
            folder = Path(studies) / (study or "")
            # The check makes the folder of studies, and can refuse it afterwards.
            new = [place for place in (folder, *folder.parents) if not place.exists()]
            self._new_folders = [*new, *self._new_folders]
            if study is not None and new:
                self._new_study = folder
            check_studies(Path(studies), study)

    def _redirect(self, config: DictConfig) -> None:
        """Have Hydra write the files of a dry run to a temporary folder."""
        if self._scratch is None:
            self._scratch = tempfile.mkdtemp(prefix="seedlab-dry-")
        config.hydra.run.dir = self._scratch
        config.hydra.sweep.dir = self._scratch

    def _remove_unbegun(self) -> None:
        """Remove the files that Hydra wrote for a new study, unless runs were planned."""
        study = self._new_study
        if study is not None and not is_study(study):
            shutil.rmtree(study / "jobs", ignore_errors=True)
            with suppress(OSError):  # There is none, or a file is in the place of a folder.
                (study / "multirun.yaml").unlink()
        for folder in self._new_folders:
            with suppress(OSError):  # It was never made, or somebody's files keep it.
                folder.rmdir()


def _text(config: DictConfig, key: str) -> str | None:
    """Return a value as text; None where it is missing, or known in a job alone."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.cfg = cast("Any", config)  # ${hydra:...} resolves from it
    try:
        return None if config.get(key) is None else str(config[key])
    except (MissingMandatoryValue, InterpolationResolutionError):
        return None
    finally:
        hydra.cfg = before
