"""A search whose jobs are a function: no models, no workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.storages.journal import JournalFileBackend

from hydra_plugins.hydra_seedlab.search import SeedlabSearchConf
from seedlab.search.search import search
from seedlab.search.settings import read_search_settings


class Bench:
    """A search whose jobs are a function of x and the seeds, and which stores all trained runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained: list[dict[str, Any]] = []
        self.store: dict[str, Any] = {}
        self.launches: list[list[str]] = []
        self.score: Callable[[dict[str, Any]], Any] = noisy_parabola
        self.before_run: Callable[[], None] = lambda: None

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Launch jobs as a Hydra launcher does."""
        self.launches.append([" ".join(job) for job in batch])
        returns = []
        for job in batch:
            key = " ".join(job)
            if key not in self.store:
                self.before_run()
                values = dict(line.split("=") for line in job)
                self.trained.append(values)
                self.store[key] = self.score(values)
            value = self.store[key]
            failed = isinstance(value, Exception)
            status = JobStatus.FAILED if failed else JobStatus.COMPLETED
            returns.append(JobReturn(overrides=job, status=status, _return_value=value))
        return returns

    def search(self, *arguments: str, dry: bool = False, **values: Any) -> dict[str, Any] | None:
        given = {
            **vars(SeedlabSearchConf()),
            "storage": "journal",
            "trials": 8,
            "seeds": 8,
            **values,
        }
        config = OmegaConf.create({"hydra": {"sweep": {"dir": str(self.folder)}}, "dry": dry})
        context = type("Context", (), {"config_loader": None})()
        settings = read_search_settings(given)
        lines = arguments or ("x=interval(0,1)",)
        return search(settings, lines, self, context, lambda cfg: None, config)  # type: ignore[arg-type]

    def study(self) -> optuna.StudyFolder:
        backend = JournalFileBackend(str(self.folder / "optuna.log"))
        return optuna.load_study(
            study_name=self.folder.name, storage=optuna.storages.JournalStorage(backend)
        )

    def facts(self) -> list[tuple[Any, ...]]:
        """Return all decisions of a search."""
        return [
            (t.number, t.state.name, t.params, t.value, t.intermediate_values, t.user_attrs)
            for t in self.study().trials
        ]


def noisy_parabola(values: dict[str, Any]) -> float:
    x, seed = float(values["x"]), int(values["seed.init"])
    noise = np.random.default_rng([seed, int(x * 1e9)]).normal()
    return 0.8 - (x - 0.3) ** 2 + 0.01 * float(noise)
