"""Trains the full grid, and the grid under a policy, and measures the time of both.

python experiments/start_many/measure.py WORKDIR

Wall-clock time depends on the machine's other work, so the processor time of all processes is
measured too. It also measures a run's step in columns of fewer runs.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from seedlab.execution.train import train
from seedlab.inputs.loaded import load_task_of
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import Seeds
from seedlab.store.study import StudyFolder

GRID = ["-m", "experiment=start_many", "engine.threads=1", "hydra.launcher.slots=2"]
POLICY = ["early_stopping=start_many", "early_stopping.fraction=0.3", "early_stopping.continued=6"]
STUDIES: dict[str, list[str]] = {
    # Two workers that train almost nothing: the cost of starting.
    "start": ["seed.init=0", "seed.order=0,1", "recipe.max_steps=2"],
    "start_many": [],
    "start_many_live": POLICY,
}
WIDTHS, STEPS = (6, 3, 2, 1), 40


def main(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    measured: dict[str, dict[str, float]] = {}
    for name, policy in STUDIES.items():
        before, start = processor_seconds(), time.perf_counter()
        subprocess.run(command(name, policy), cwd=place, check=True)
        records = StudyFolder(place / "studies" / name).records().values()
        measured[name] = {
            "wall": time.perf_counter() - start,
            "processor": processor_seconds() - before,
            "training": sum(record.seconds for record in records),
        }
    step_seconds(place, 1)  # imports and loads shared by the others
    measured["widths"] = {str(width): step_seconds(place, width) for width in WIDTHS}
    (place / "measured.json").write_text(json.dumps(measured, indent=1))
    print(json.dumps(measured, indent=1))


def command(study: str, more: list[str]) -> list[str]:
    return [sys.executable, "-m", "seedlab", "run", *GRID, f"study={study}", *more]


def step_seconds(place: Path, width: int) -> float:
    """Return the processor seconds of an update per run, in a column of several runs."""
    record = next(iter(StudyFolder(place / "studies" / "start_many").records().values()))
    spec = record.run_spec()
    recipe = dataclasses.replace(spec.recipe, max_steps=STEPS)
    evaluation = dataclasses.replace(spec.evaluation, per_epoch=0, at_start=False)
    runs = [
        dataclasses.replace(
            spec, recipe=recipe, evaluation=evaluation, seeds=Seeds(init, 0).resolved()
        )
        for init in range(width)
    ]
    task = load_task_of(runs[0])
    start = time.process_time()
    list(train(runs, task, EngineSpec("packed", width, 1)))
    return (time.process_time() - start) / (width * STEPS)


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
