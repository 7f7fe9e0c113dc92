"""Peak memory of the launching process against the number of runs: `python bench_memory.py`.

Each size is one multirun of its own process: planning, packs, two workers, displays and returns are
seedlab's. Only the training is left out: a worker answers at once, with the events of ten updates.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import hydra
from omegaconf import DictConfig

from seedlab.application.app import SeedlabAdapter
from seedlab.execution.events import Event, Outcome
from seedlab.launch.jobs.application import trained_in_packs
from seedlab.paths import conf_folder
from seedlab.spec.pack import Pack

STEPS = 10


class WithoutTraining(SeedlabAdapter):
    """seedlab's adapter, whose packs are done at once."""

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        """Return a score for every run."""
        for step in range(1, STEPS + 1):
            for run in pack.runs:
                on_event(Event("stepped", run.run_id, step=step, total_steps=STEPS))
        for run in pack.runs:
            on_event(Event("finished", run.run_id, step=STEPS, total_steps=STEPS, score=0.5))
        return {run.run_id: Outcome("recorded", 0.5) for run in pack.runs}


@trained_in_packs(WithoutTraining())
def run(cfg: DictConfig) -> None:
    """Stand for the task function of `seedlab run`."""


def launch(runs: int, folder: str) -> None:
    """Launch a multirun in this process and print its peak memory in MiB."""
    inits = runs // 20
    sys.argv = [
        "bench_memory",
        *("-m", "task=acceptability", "task.examples=16", "task.dev_examples=16"),
        *("recipe.max_steps=10", f"studies_dir={folder}", "study=memory", "engine.threads=1"),
        *("hydra.launcher.slots=2", "hydra.launcher.progress=none"),
        *(f"seed.init=range(0,{inits})", "seed.order=range(0,20)"),
    ]
    main = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    main(run)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"PEAK {peak:.1f}")


def main() -> None:
    """Print a table: runs, peak memory, growth per run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 400, 1600])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        launch(options.one, options.folder)
        return
    print("| runs | peak of the launching process, MiB | growth per run, KiB |\n|---|---|---|")
    before: tuple[int, float] | None = None
    # The first launch encodes the task, which takes more memory than a launch does.
    for runs in (20, *options.runs):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--one", str(runs), "--folder", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("PEAK")]
        if not lines:
            raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        peak = float(lines[0].split()[1])
        if runs == 20:
            continue
        slope = "" if before is None else f"{(peak - before[1]) * 1024 / (runs - before[0]):.1f}"
        print(f"| {runs} | {peak:.1f} | {slope} |", flush=True)
        before = runs, peak


if __name__ == "__main__":
    main()
