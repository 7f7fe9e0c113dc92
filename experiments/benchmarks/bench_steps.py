"""One update of one run, by engine and pack width, against the machine's matrix products.

    python experiments/benchmarks/bench_steps.py --threads 1 --repeats 3

The engines take turns. `share` is the arithmetic rate of the whole model on real tokens, divided
by a ceiling: the best rate of float32 matrix products in the same run, of any library. `computed` counts only
arithmetic that the engine does not skip. `--case sst2` measures MiniLM (SEEDLAB_DATA must name
the data).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from typing import Any

import torch
from cases import CASES, ceiling, specs, work_per_step

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.engines.serial.pack_model import SerialModel
from seedlab.inputs.content import load_encoded
from seedlab.inputs.loaded import load_weights_of, prepare
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import ModelSpec
from seedlab.training.batches import collate, training_batches
from seedlab.training.step_plan import make_plan

WIDTHS = (1, 2, 4, 8, 16, 25)


def steady(
    engine: str,
    width: int,
    threads: int,
    steps: int = 60,
    case: str = "embedded",
    dtype: str = "float32",
    **techniques: Any,
) -> tuple[float, float]:
    """Return wall and processor seconds of an update, per run, in the second pass over batches.

    `techniques` are sections of the recipe.
    """
    torch.set_num_threads(threads)
    runs = [
        dataclasses.replace(
            run,
            recipe=dataclasses.replace(run.recipe, **techniques),
            model=ModelSpec(run.model.name, run.model.path, dtype),
        )
        for run in specs(width, orders=1, case=case)
    ]
    task = load_encoded(runs[0].task, runs[0].model, 0)
    weights = load_weights_of(runs[0], task, prepare(EngineSpec(device="cpu")))
    plan = make_plan(runs[0].recipe, runs[0].evaluation, len(task.splits["train"]))
    examples = training_batches(len(task.splits["train"]), runs[0].recipe.batch_size, 0)
    batches = [collate(task.splits["train"], next(examples), task.pad_id) for _ in range(steps)]
    with ThreadPool(threads) as thread_pool:
        if engine == "serial":
            torch.set_num_threads(threads)
            pack_model: Any = SerialModel(runs[0], task, weights, plan, {})
        else:
            pack_model = ColumnModel(
                runs, [plan] * width, task, weights, thread_pool, ComputeOptions(1)
            )
        wall = cpu = 0.0
        for step, batch in enumerate(batches):
            if step == steps // 2:
                wall, cpu = time.perf_counter(), time.process_time()
            pack_model.update(batch, step, by_depth=False)
        n = (steps - steps // 2) * (1 if engine == "serial" else width)
        return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--case", choices=tuple(CASES), default="embedded")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    options = parser.parse_args()
    threads, case = options.threads, options.case
    whole, computed = work_per_step(case)
    print(f"\none update per run, {CASES[case]}, {threads} threads; best of {options.repeats}")
    print(f"a step is {whole:.3f} GFLOP on real tokens, of which {computed:.3f} are computed")
    kinds = [("serial", 1, "float32"), *(("packed", w, "float32") for w in options.widths)]
    kinds.append(("packed", options.widths[-1], "bfloat16"))
    rows: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    peak: dict[str, float] = {}
    for _ in range(options.repeats):
        for kind in kinds:
            peak = {n: max(rate, peak.get(n, 0.0)) for n, rate in ceiling(threads).items()}
            found = steady(*kind[:2], threads, options.steps, case, kind[2])
            rows.setdefault(kind, []).append(found)
    best = max(peak.values())
    floor = min(wall for wall, _ in rows["serial", 1, "float32"])
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in peak.items())
    print(f"ceilings of float32 matrix products, GFLOP/s: {rates}")
    print(f"{'':25}{'wall ms':>9}{'cpu ms':>9}{'vs serial':>11}{'share':>8}{'computed':>10}")
    for (engine, width, dtype), values in rows.items():
        wall, cpu = min(w for w, _ in values), min(c for _, c in values)
        print(
            f"{engine:8}{width:4}  {dtype:11}{wall * 1e3:9.2f}{cpu * 1e3:9.2f}{floor / wall:11.2f}"
            f"{whole / wall / best:8.0%}{computed / wall / best:10.0%}"
        )


if __name__ == "__main__":
    main()
