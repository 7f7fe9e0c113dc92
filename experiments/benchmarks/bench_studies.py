"""A grid of 25 runs (5 x 5), including start-up: the Hugging Face Trainer against seedlab.

    python experiments/benchmarks/bench_studies.py

Each candidate is a separate command, and candidates take turns. seedlab's command is
`seedlab run -m`, as a user issues it: planning, one worker with one thread per core, training,
records on disk. The Trainer's runs use all cores one after another, or one core each, with as many
runs at a time as cores. They need the package `accelerate`. `--full` trains all 25 runs of every
candidate. Otherwise slow candidates train fewer runs, and the total is extrapolated, with start-up
counted once. If SEEDLAB_DATA names a folder with the data, MiniLM on SST-2 is measured too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cases import CASES, CELLS, available, overrides

CORES = os.cpu_count() or 1
TRAINER = Path(__file__).with_name("trainer_runs.py")


@dataclass(frozen=True)
class Candidate:
    """A way to train a grid.

    Parameters
    ----------
    label : str
    kind : str
        ``process`` or ``loop`` (the Trainer), ``serial`` or ``packed`` (seedlab).
    at_once : int
        Concurrent processes, which share the cores equally.
    runs : dict of case to int
        Number of runs to train, for cases in which not all runs are trained.
    """

    label: str
    kind: str
    at_once: int
    runs: dict[str, int]


CANDIDATES = (
    Candidate("Trainer, a process per run", "process", 1, {"embedded": 2, "sst2": 1}),
    Candidate(f"the same, {CORES} at a time", "process", CORES, {"embedded": 4, "sst2": CORES}),
    Candidate("Trainer, looped in one process", "loop", 1, {"embedded": 4, "sst2": 2}),
    Candidate(f"the same, {CORES} loops at a time", "loop", CORES, {"embedded": 8, "sst2": CORES}),
    Candidate("seedlab run engine=serial", "serial", CORES, {"embedded": 10, "sst2": CORES}),
    Candidate("seedlab run", "packed", CORES, {"embedded": CELLS, "sst2": 10}),
)


def commands(candidate: Candidate, n: int, case: str, studies: str) -> list[list[str]]:
    """Return the commands that train `n` runs, all started together."""
    threads = str(max(1, CORES // candidate.at_once))
    if candidate.kind in ("process", "loop"):
        share = -(-n // candidate.at_once)
        return [
            [sys.executable, str(TRAINER), case, threads, str(first), str(min(share, n - first))]
            for first in range(0, n, share)
        ]
    orders = 5 if n >= 5 else 1
    grid = [f"seed.init=range(0,{n // orders})", f"seed.order=range(0,{orders})"]
    if n == 10:
        grid = ["seed.init=range(0,5)", "seed.order=range(0,2)"]
    engine = ["engine=serial", "engine.width=1"] if candidate.kind == "serial" else []
    where = ["study=bench", f"studies_dir={studies}"]
    return [
        [sys.executable, "-m", "seedlab", "run", "-m", *where, *overrides(case), *grid, *engine]
    ]


def measure(candidate: Candidate, n: int, case: str) -> dict[str, float]:
    """Train `n` runs; return wall and processor seconds, and the largest process in MiB."""
    threads = str(max(1, CORES // candidate.at_once))
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    start, cpu, memory = time.perf_counter(), 0.0, 0.0
    if candidate.kind == "process":
        # One after another, or side by side: a new process for every run.
        waves = [range(f, min(f + candidate.at_once, n)) for f in range(0, n, candidate.at_once)]
        batches = [
            [[sys.executable, str(TRAINER), case, threads, str(seed), "1"] for seed in wave]
            for wave in waves
        ]
    else:
        studies = tempfile.mkdtemp()
        batches = [commands(candidate, n, case, studies)]
    for batch in batches:
        with tempfile.TemporaryFile() as printed:
            running = [
                subprocess.Popen(c, env=environment, stdout=printed, stderr=subprocess.STDOUT)
                for c in batch
            ]
            for process in running:
                # Child processes count too: seedlab's workers.
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    printed.seek(0)
                    sys.exit(f"{candidate.label} failed:\n{printed.read().decode()}")
                cpu += usage.ru_utime + usage.ru_stime
                memory = max(memory, usage.ru_maxrss / 1024)
    return {"wall": time.perf_counter() - start, "cpu": cpu, "memory": memory}


def report(case: str, full: bool, repeats: int) -> None:
    """Print the cost of 25 runs."""
    have = importlib.util.find_spec("accelerate") is not None
    rows = {}
    for candidate in CANDIDATES:
        if not have and candidate.kind in ("process", "loop"):
            continue
        n = CELLS if full else candidate.runs[case]
        best: dict[str, float] = {}
        for _ in range(repeats):
            found = measure(candidate, n, case)
            once = 0.0 if n == CELLS else start_up(candidate, case)
            total = once + (found["wall"] - once) * CELLS / n
            if not best or total < best["total"]:
                best = {**found, "total": total, "n": n}
        rows[candidate.label] = best
        print(json.dumps({"case": case, "candidate": candidate.label, **best}), flush=True)
    ours = rows["seedlab run"]["total"]
    print(f"\n{CELLS} runs (5 x 5), {CASES[case]}, {CORES} cores, start-up included")
    print(f"{'':34}{'trained':>8}{'wall s':>9}{'cpu s':>9}{'MiB':>7}{'runs/h':>8}{'ratio':>7}")
    for label, row in rows.items():
        total, n = row["total"], int(row["n"])
        cpu = f"{row['cpu']:.1f}" if n == CELLS else ""
        print(
            f"{label:34}{n:8}{total:9.1f}{cpu:>9}{row['memory']:7.0f}"
            f"{CELLS * 3600 / total:8.0f}{total / ours:7.2f}"
        )
    print("wall: extrapolated where fewer than all runs were trained; MiB: the largest process")


def start_up(candidate: Candidate, case: str) -> float:
    """Return the wall seconds of start-up, from a command that trains almost nothing."""
    if candidate.kind == "process":
        return 0.0
    if candidate.kind == "loop":
        command = [sys.executable, str(TRAINER), case, "1", "0", "0"]
    else:
        one = ["recipe.max_steps=1", "evaluation.per_epoch=0", "evaluation.at_start=false"]
        command = [*commands(candidate, candidate.at_once, case, tempfile.mkdtemp())[0], *one]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="train all runs, extrapolate nothing")
    parser.add_argument("--case", choices=tuple(CASES), help="one case alone")
    options = parser.parse_args()
    for case in [options.case] if options.case else available():
        report(case, options.full, options.repeats)


if __name__ == "__main__":
    main()
