"""The toy application of the launcher's tests, in this process or as a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode

from tests.suites import launch_toy

ROOT = Path(__file__).parents[2]


class Toy:
    """The toy application in its own study folder.

    Parameters
    ----------
    study : Path
    executor : str
        ``hydra.launcher.executor``.
    """

    def __init__(self, study: Path, executor: str = "local") -> None:
        self.study = study
        self._executor = executor
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
            given = [*self.fixed, *quiet_launcher(overrides, self._executor), *overrides]
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
            given = [*self.fixed, *quiet_launcher(overrides, self._executor), *overrides]
            batches = hydra.multirun(config, launch_toy.run, given)
            return list(batches[0])
        finally:
            GlobalHydra.instance().clear()

    def poison(self, **faults: tuple[str, int]) -> None:
        """Make cells fail: ``i1_o2=("kill", 1)`` kills cell (1, 2) once."""
        self.study.mkdir(exist_ok=True)
        named = {name[1:].replace("_o", ","): list(fault) for name, fault in faults.items()}
        (self.study / "faults.json").write_text(json.dumps(named))

    def packs(self) -> list[str]:
        """Return the cells of every pack that was begun, in order."""
        return [line.partition(" ")[2] for line in self.notes("packs")]

    def notes(self, name: str) -> list[str]:
        """Return the lines that the workers wrote."""
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


def quiet_launcher(overrides: Sequence[str], executor: str = "local") -> list[str]:
    if any(line.startswith("hydra/launcher=") for line in overrides):
        return []
    launcher = {"executor": executor, "slots": 1, "progress": "none"}
    return [f"hydra.launcher.{key}={value}" for key, value in launcher.items()]


class ToyScript:
    """The toy application as a script, in a process group of its own.

    Parameters
    ----------
    study : Path
    executor : str
        ``hydra.launcher.executor``.
    overrides : sequence of str
    """

    def __init__(self, study: Path, executor: str, *overrides: str) -> None:
        study.mkdir(exist_ok=True)
        self._study = study
        self._output = study / "output.txt"
        launcher = [f"hydra.launcher.executor={executor}", "hydra.launcher.progress=lines"]
        command = [sys.executable, launch_toy.__file__, "-m", f"study={study}"]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [*command, *launcher, *overrides],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                # A shell that runs the tests in the background hands down an ignored SIGINT.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the script does; fail when it ends or takes 30 seconds."""
        if not became_true(lambda: condition() or self.process.poll() is not None):
            os.killpg(self.process.pid, signal.SIGKILL)
        if not condition():
            self.process.wait()
            pytest.fail(f"it did not happen; the script wrote:\n{self.output()}")

    def workers(self) -> list[int]:
        """Return the process ids that have trained packs."""
        path = self._study / "packs.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[0]) for line in lines]

    def output(self) -> str:
        """Return the text that it wrote to its standard output and error."""
        return self._output.read_text()


def became_true(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that was not waited for yet is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
