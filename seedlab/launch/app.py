"""The Hydra application: what `seedlab run` composes, and what one job does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from seedlab.checks import check_engine, check_run
from seedlab.config import defaults, read_settings
from seedlab.content import with_hashes
from seedlab.errors import SeedlabError
from seedlab.grid import EngineSpec, Pack
from seedlab.launch.adapter import trained_in_packs
from seedlab.launch.events import Event, Outcome
from seedlab.paths import conf_folder
from seedlab.spec import RunSpec
from seedlab.store.study import Study

log = logging.getLogger(__name__)

ConfigStore.instance().store(name="seedlab_defaults", node=defaults())


@dataclass(frozen=True)
class Planned:
    """The run that a configuration asks for, identified; a `seedlab.launch.adapter.Plan`."""

    spec: RunSpec
    engine: EngineSpec
    study: Path


class SeedlabAdapter:
    """Plans and trains seedlab's runs for the launcher."""

    def plan(self, cfg: DictConfig) -> Planned:
        """Return the run of a configuration, checked, with its content hashes."""
        settings = read_settings(cfg)
        check_run(settings.spec)
        check_engine(settings.engine)
        return Planned(with_hashes(settings.spec, settings.studies), settings.engine, settings.study)

    def begin(self, study: Path, specs: Sequence[RunSpec]) -> None:
        """Add the runs to the study's plan."""
        Study(study).plan(specs)

    def finished(self, study: Path, engine: EngineSpec) -> Mapping[str, float | None]:
        """Return the score of every run on record."""
        records = Study(study).finished()
        return {run_id: record.reported(engine.score) for run_id, record in records.items()}

    def describe(self, specs: Sequence[RunSpec], packs: Sequence[Pack], finished: set[str]) -> str:
        """Return the plan as text, for ``dry=true``."""
        from seedlab.launch.describe import describe

        return describe(specs, packs, finished)

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        """Train a pack in this process; see `seedlab.launch.execute.execute`."""
        from seedlab.launch.execute import execute

        return execute(pack, study, on_event)


@trained_in_packs(SeedlabAdapter())
def run(cfg: DictConfig) -> float | None:
    """Train the one run that a configuration asks for, unless it is on record.

    This is what Hydra calls for a single run, and for every job under a launcher that
    knows nothing of packs (basic, joblib).

    Returns
    -------
    float or None
        Its best validation score, or the final one with ``engine.score=final``; None for a
        dry run.
    """
    adapter = SeedlabAdapter()
    settings = read_settings(cfg)
    planned = adapter.plan(cfg)
    study = Study(planned.study)
    pack = Pack((planned.spec,), planned.engine)
    if settings.dry:
        finished = set(study.finished())
        left = [] if planned.spec.run_id in finished else [pack]
        print(adapter.describe([planned.spec], left, finished))  # noqa: T201
        return None
    study.plan([planned.spec])
    known = planned.spec.run_id in study.finished()
    outcome = adapter.execute(pack, planned.study, lambda event: None)[planned.spec.run_id]
    if outcome.status == "skipped":
        raise SeedlabError(
            f"run {planned.spec.run_id} of study '{study.name}' is being trained by another process; "
            "wait for it, or look with `seedlab status`."
        )
    log.info(
        f"run {planned.spec.run_id} {'was on record' if known else 'finished'}: "
        f"{planned.engine.score} validation score {outcome.score:.4f}, in {study.folder}"
    )
    return outcome.score


main = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(run)
