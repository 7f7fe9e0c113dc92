"""The toy application of the launcher's tests, in this process or as a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode

from tests.suites import launch_toy


class Toy:
    """The toy application in its own study folder."""

    def __init__(self, study: Path) -> None:
        self.study = study
        self.fixed = [f"study={study}"]

    def launch(
        self,
        batch: Sequence[Sequence[str]],
        *overrides: str,
        task: Callable[..., Any] = launch_toy.run,
        first: int = 0,
    ) -> list[JobReturn]:
        """Hand a batch to the launcher, as a sweeper would."""
        self.study.mkdir(exist_ok=True)
        hydra = create_hydra()
        try:
            given = [*self.fixed, *quiet_launcher(overrides), *overrides]
            cfg = hydra.compose_config("toy", given, RunMode.MULTIRUN)
            context = HydraContext(hydra.config_loader, Callbacks(cfg))
            launcher = Plugins.instance().instantiate_launcher(context, task, cfg)
            # Hydra's sweepers repeat the command line's overrides in those of every job.
            jobs = [[*self.fixed, *_plain(overrides), *job] for job in batch]
            return list(launcher.launch(jobs, first))
        finally:
            GlobalHydra.instance().clear()

    def sweep(self, *overrides: str, config: str = "toy") -> list[JobReturn]:
        """Run a multirun, sweeper included, and return the first batch."""
        self.study.mkdir(exist_ok=True)
        hydra = create_hydra()
        try:
            given = [*self.fixed, *quiet_launcher(overrides), *overrides]
            batches = hydra.multirun(config, launch_toy.run, given)
            return list(batches[0])
        finally:
            GlobalHydra.instance().clear()

    def poison(self, **faults: tuple[str, int]) -> None:
        """Make cells fail: ``i1_o2=("kill", 1)`` kills cell (1, 2) once."""
        self.study.mkdir(exist_ok=True)
        named = {name[1:].replace("_o", ","): list(fault) for name, fault in faults.items()}
        (self.study / "faults.json").write_text(json.dumps(named))

    def notes(self, name: str) -> list[str]:
        """Return what the workers wrote down."""
        path = self.study / f"{name}.txt"
        return path.read_text().splitlines() if path.exists() else []


def grid(inits: int, orders: int) -> list[list[str]]:
    """Return the jobs of a grid, in Hydra's order."""
    return [[f"seed.init={i}", f"seed.order={o}"] for i in range(inits) for o in range(orders)]


def create_hydra() -> Hydra:
    return Hydra.create_main_hydra_file_or_module(
        calling_file=launch_toy.__file__, calling_module=None, config_path=None, job_name="toy"
    )


def _plain(overrides: Sequence[str]) -> list[str]:
    return [line for line in overrides if not line.startswith("hydra")]


def quiet_launcher(overrides: Sequence[str]) -> list[str]:
    if any(line.startswith("hydra/launcher=") for line in overrides):
        return []
    return ["hydra.launcher.slots=1", "hydra.launcher.progress=none"]
