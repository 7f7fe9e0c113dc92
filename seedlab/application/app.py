"""The Hydra application of `seedlab run`: its configuration and its task function."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from seedlab.config.checks import check_engine, check_run
from seedlab.config.settings import defaults, read_settings
from seedlab.errors import SeedlabError
from seedlab.execution.events import Event, Outcome
from seedlab.launch.jobs.application import RunRequest, StagedRuns, trained_in_packs
from seedlab.paths import conf_folder
from seedlab.reproduce.identify import with_hashes
from seedlab.spec.early_stopping import EarlyStoppingSpec, check_early_stopping, check_train
from seedlab.spec.pack import EngineSpec, Pack, Stage
from seedlab.spec.run import RunSpec, Seeds
from seedlab.store.chosen import scored_runs
from seedlab.store.run_folders import missing
from seedlab.store.study import StudyFolder
from seedlab.store.study_plan import check_begun

log = logging.getLogger(__name__)

ConfigStore.instance().store(name="seedlab_defaults", node=defaults())


@dataclass(frozen=True)
class IdentifiedRun:
    """A `seedlab.launch.jobs.application.RunRequest`: the one run of a configuration, with its hashes."""

    spec: RunSpec
    engine: EngineSpec
    study: Path
    stage: Stage
    early_stopping: EarlyStoppingSpec


class SeedlabAdapter:
    """Identifies, describes and trains seedlab's runs for the launcher."""

    def request(self, cfg: DictConfig) -> IdentifiedRun:
        """Return the run of a configuration, after checking it, with its content hashes."""
        settings = read_settings(cfg)
        check_run(settings.spec)
        check_engine(settings.engine)
        check_train(settings.train)
        check_early_stopping(settings.early_stopping)
        return IdentifiedRun(
            with_hashes(settings.spec, settings.studies),
            settings.engine,
            settings.study,
            Stage(every=settings.train.checkpoint_every),
            settings.early_stopping,
        )

    def cohorts(self, requests: Sequence[RunRequest]) -> Sequence[StagedRuns]:
        """Return a cohort per study, setting and policy: runs that differ in seeds alone."""
        groups: dict[object, list[RunRequest]] = {}
        for request in requests:
            if request.early_stopping.active:
                setting = dataclasses.replace(request.spec, seeds=Seeds())
                policy = request.early_stopping
                key = (request.study, setting, policy, request.engine, request.stage)
                groups.setdefault(key, []).append(request)
        if not groups:
            return ()
        from seedlab.early_stopping.cohort import Cohort

        return [
            Cohort(
                group[0].study,
                [request.spec for request in group],
                group[0].early_stopping,
                group[0].engine,
                group[0].stage.every,
            )
            for group in groups.values()
        ]

    def begin(self, study: Path, specs: Sequence[RunSpec]) -> None:
        """Add the runs to the study's plan."""
        StudyFolder(study).begin(specs)

    def scores_on_record(self, study: Path, engine: EngineSpec) -> Mapping[str, float | None]:
        """Return the score of every finished or diverged run, by run id."""
        return {
            run.record.run_id: run.reported(engine.score)
            for run in scored_runs(StudyFolder(study))
            if run.record.is_over
        }

    def missing(self, study: Path, run_ids: Collection[str]) -> Collection[str]:
        """Return the runs that are not on record, after a check that the study is still there."""
        check_begun(study)
        return missing(study, run_ids)

    def describe(
        self, specs: Sequence[RunSpec], packs: Sequence[Pack], on_record: set[str], workers: int
    ) -> str:
        """Return the plan as text, for ``dry=true``."""
        from seedlab.application.dry_run import describe

        return describe(specs, packs, on_record, workers)

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        """Train a pack in this process; see `seedlab.execution.run_pack.execute`."""
        from seedlab.execution.run_pack import execute

        return execute(pack, study, on_event)


@trained_in_packs(SeedlabAdapter())
def run(cfg: DictConfig) -> float | None:
    """Train the one run that a configuration asks for, unless it is on record.

    Hydra calls it for a single run, and for every job under a launcher without packs (basic,
    joblib).

    Returns
    -------
    float or None
        Its best validation score after step 0, or the final one with ``engine.score=final``; None for a
        dry run.
    """
    adapter = SeedlabAdapter()
    settings = read_settings(cfg)
    requested = adapter.request(cfg)
    if requested.early_stopping.active and requested.early_stopping.policy != "patience":
        raise SeedlabError(
            f"early_stopping={requested.early_stopping.policy} compares runs with each other, and this "
            "is one run by itself; sweep over seeds with -m (--multirun) and hydra/launcher=seedlab, "
            "or leave early_stopping out. By itself a run can have early_stopping=patience."
        )
    study = StudyFolder(requested.study)
    pack = Pack((requested.spec,), requested.engine, requested.stage)
    on_record = adapter.scores_on_record(requested.study, requested.engine).keys()
    cohorts = adapter.cohorts([requested])
    if settings.dry:
        left = [] if requested.spec.run_id in on_record else [pack]
        lines = [line for cohort in cohorts for line in ("", *cohort.plan_text(1))]
        print("\n".join([adapter.describe([requested.spec], left, set(on_record), 1), *lines]))  # noqa: T201
        return None
    study.begin([requested.spec])
    known = requested.spec.run_id in on_record
    if cohorts and not known:
        return _run_cohort(adapter, cohorts[0], requested)
    score = _train(adapter, pack, requested)
    log.info(
        f"run {requested.spec.run_id} {'was on record' if known else 'finished'}: "
        f"{requested.engine.score} validation score {score:.4f}, in {study.folder}"
    )
    return score


def _run_cohort(
    adapter: SeedlabAdapter, cohort: StagedRuns, requested: IdentifiedRun
) -> float | None:
    """Train a run that only its own curve can stop."""
    cohort.begin()
    while packs := cohort.packs((), requested.engine.threads, 1):
        for pack in packs:
            _train(adapter, pack, requested)
    log.info(cohort.outcome_text())
    return cohort.reports(requested.engine.score)[requested.spec.run_id]


def _train(adapter: SeedlabAdapter, pack: Pack, requested: IdentifiedRun) -> float | None:
    """Train the one run of a pack and return its score."""
    outcome = adapter.execute(pack, requested.study, lambda event: None)[requested.spec.run_id]
    if outcome.status == "skipped":
        raise SeedlabError(
            f"run {requested.spec.run_id} of study '{StudyFolder(requested.study).name}' is being trained by "
            "another process; wait for it, or look with `seedlab status`."
        )
    return outcome.score


main = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(run)
