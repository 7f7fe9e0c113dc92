"""Time and memory of a complete report on 2,100 runs x 30 evaluations over four tasks.

Synthetic scores with failed runs, ties and a realistic effect of init seeds. Run with
``python experiments/benchmarks/bench_report.py [--runs 525] [--workers 2]``; the
default finishes in about a minute on two cores.
"""

import argparse
import os

# Two processes, one thread each: set before numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.data.score_table import read_table
from analysis.report import write_report

TASKS, EVALUATIONS, EXAMPLES, MAJORITY = ("mrpc", "rte", "cola", "sst"), 30, 277, 0.527


def scores(runs_per_task: int) -> pd.DataFrame:
    """Return a long table of curves that rise to a level per run; some never rise."""
    frames = []
    n_order = int(np.sqrt(runs_per_task))
    for number, task in enumerate(TASKS):
        rng = np.random.default_rng(number)
        init, order = np.divmod(np.arange(runs_per_task), n_order)
        level = 0.68 + 0.02 * rng.standard_normal(init.max() + 1)[init]
        level += 0.03 * rng.standard_normal(runs_per_task)
        level[rng.random(runs_per_task) < 0.1] = MAJORITY
        fraction = np.arange(1, EVALUATIONS + 1) / EVALUATIONS
        curve = 0.5 + (level[:, None] - 0.5) * (1 - np.exp(-4 * fraction))
        curve += 0.012 * rng.standard_normal(curve.shape)
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "run": np.repeat([f"{task}-{i}" for i in range(runs_per_task)], EVALUATIONS),
                    "init_seed": np.repeat(init, EVALUATIONS),
                    "order_seed": np.repeat(order, EVALUATIONS),
                    "fraction": np.tile(fraction, runs_per_task),
                    "epoch": np.tile(3 * fraction, runs_per_task),
                    "n_examples": EXAMPLES,
                    "score": np.round(curve * EXAMPLES).ravel() / EXAMPLES,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=525, help="runs per task")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = scores(options.runs)
    with tempfile.TemporaryDirectory() as folder:
        since = time.perf_counter()
        study = read_table(table, metric="accuracy", majority=MAJORITY)
        path = write_report(study, Path(folder) / "report", workers=options.workers)
        wall = time.perf_counter() - since
        size = path.stat().st_size
    own, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    processor = own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
    # The workers' largest peak counts once per worker: an upper bound of the total memory.
    peak = (own.ru_maxrss + options.workers * theirs.ru_maxrss) / 1024**2
    print(f"Report on {len(study.runs)} runs x {EVALUATIONS} evaluations, {len(TASKS)} tasks")
    print(f"    wall time         {wall:9.1f} s    (target: at most 60 s on two cores)")
    print(f"    processor time    {processor:9.1f} s")
    print(f"    memory, at most   {peak:9.2f} GB   (target: at most 2 GB)")
    print(f"    report.html       {size / 1e6:9.2f} MB")


if __name__ == "__main__":
    main()
