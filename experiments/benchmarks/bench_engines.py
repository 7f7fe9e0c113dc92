"""The cost of a grid of seeds: the Hugging Face Trainer against seedlab's engines.

One run of this file measures everything side by side, in alternation, each candidate in a
process of its own with its start-up counted. `python experiments/benchmarks/bench_engines.py`
trains few runs of the slow candidates and says what it extrapolates; `--full` trains all.
Where SEEDLAB_DATA names a folder with data/glue/SST-2 and models/minilm-l6, the grid is measured
on MiniLM and 512 sentences of SST-2 as well. `--only cells` measures what a study costs as its
grid grows. The Trainer needs the package `accelerate`; without it its lines are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()
CELLS = 25
CASES = {"embedded": "embedded task and encoder", "sst2": "MiniLM on 512 sentences of SST-2"}
LABELS = {
    "process": "Trainer, one process per run",
    "loop": "Trainer, looped in one process",
    "serial": "seedlab serial",
    "packed": "seedlab packed",
}


def specs(n: int, orders: int = 5, case: str = "embedded") -> list[Any]:
    """Return `n` runs of a task: init seeds within order seeds."""
    from seedlab.spec import ModelSpec, RunSpec, Seeds, TaskSpec

    task, model = TaskSpec(), ModelSpec()
    if case == "sst2":
        folder = Path(os.environ["SEEDLAB_DATA"])
        path = str(folder / "data" / "glue" / "SST-2")
        task = TaskSpec(name="sst2", reader="glue", path=path, train_size=512)
        model = ModelSpec(name="minilm-l6", path=str(folder / "models" / "minilm-l6"))
    cells = [(init, order) for order in range(orders) for init in range(-(-n // orders))]
    return [
        RunSpec(task=task, model=model, seeds=Seeds(init, order).resolved())
        for init, order in cells[:n]
    ]


def train_seedlab(engine: str, n: int, orders: int, threads: int, case: str) -> dict[str, float]:
    """Train `n` runs with an engine; seconds until the first run starts, and after."""
    import torch

    from seedlab.content import load_encoded
    from seedlab.grid import EngineSpec
    from seedlab.launch.execute import train

    torch.set_num_threads(threads)
    runs = specs(n, orders, case)
    task = load_encoded(runs[0].task, runs[0].model, 0)
    ready = time.perf_counter()
    for _ in train(runs, task, EngineSpec(engine, width=n, device="cpu")):
        pass
    return {"start": ready - START, "training": time.perf_counter() - ready}


def train_trainer(n: int, threads: int, case: str) -> dict[str, float]:
    """Train `n` runs with the Trainer, one after another."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )
    from transformers.utils import logging

    from seedlab.content import load_encoded
    from seedlab.models.checkpoint import locate

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    run = specs(1, case=case)[0]
    task = load_encoded(run.task, run.model, 0)
    folder = locate(run.model.name, run.model.path)

    def rows(name: str) -> list[dict[str, Any]]:
        split = task.splits[name]
        cuts = zip(split.offsets[:-1], split.offsets[1:], split.labels, strict=True)
        return [{"input_ids": split.ids[a:b].tolist(), "labels": int(y)} for a, b, y in cuts]

    train, dev, recipe = rows("train"), rows("dev"), run.recipe
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder))
    steps = -(-len(train) // recipe.batch_size) * recipe.epochs
    ready = time.perf_counter()
    for seed in range(n):
        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out,
                per_device_train_batch_size=recipe.batch_size,
                per_device_eval_batch_size=run.evaluation.batch_size,
                num_train_epochs=recipe.epochs,
                learning_rate=recipe.optimizer.learning_rate,
                weight_decay=recipe.optimizer.weight_decay,
                adam_epsilon=recipe.optimizer.eps,
                warmup_steps=steps // 10,
                eval_strategy="epoch",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                seed=seed,
                data_seed=0,
                logging_strategy="no",
                dataloader_pin_memory=False,
            )
            trainer = Trainer(
                model=AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2),
                args=arguments,
                train_dataset=train,
                eval_dataset=dev,
                data_collator=collator,
                compute_metrics=lambda p: {"acc": float(np.mean(p[0].argmax(1) == p[1]))},
            )
            trainer.evaluate()
            trainer.train()
    return {"start": ready - START, "training": time.perf_counter() - ready}


def measure(
    kind: str, n: int, threads: int, case: str = "embedded", orders: int = 5
) -> dict[str, float]:
    """Run a candidate in a process of its own; wall and processor seconds, peak memory."""
    worker = (kind, str(n), str(orders), str(threads), case)
    command = [sys.executable, __file__, "--worker", *worker]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{kind} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**found, "wall": wall, "cpu": cpu}


def ceiling(threads: int) -> float:
    """Return the best rate of a 1024-cubed float32 product, in GFLOP/s."""
    import torch

    torch.set_num_threads(threads)
    a = torch.ones(1024, 1024)
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        for _ in range(4):
            torch.mm(a, a)
        best = max(best, 8 * 1024**3 / (time.perf_counter() - start) / 1e9)
    return best


def work_per_step() -> tuple[float, float]:
    """Return the GFLOP of an average step: of the whole model, and what is computed.

    Matrix products of linear layers on real tokens, forwards and backwards (6 per weight and
    token). The last layer computes queries and all that follows for first tokens alone.
    """
    from seedlab.content import load_encoded

    run = specs(1)[0]
    lengths = load_encoded(run.task, run.model, 0).splits["train"].lengths
    rows, tokens, square = run.recipe.batch_size, run.recipe.batch_size * lengths.mean(), 128**2
    whole = 2 * 12 * tokens + 2 * rows
    computed = 12 * tokens + 2 * tokens + 10 * rows + 2 * rows
    return 6 * square * whole / 1e9, 6 * square * computed / 1e9


def steady(
    engine: str, width: int, threads: int, steps: int = 24, **techniques: Any
) -> tuple[float, float]:
    """Return wall and processor seconds of an update, per run, start-up not counted.

    `techniques` are sections of the recipe.
    """
    import torch

    from seedlab.content import load_encoded
    from seedlab.engines.column import PackedTrainee
    from seedlab.engines.crew import Crew
    from seedlab.engines.serial_trainee import SerialTrainee
    from seedlab.grid import EngineSpec
    from seedlab.launch.execute import load_weights_of, prepare
    from seedlab.train.batches import collate, training_batches
    from seedlab.train.plan import make_plan

    torch.set_num_threads(threads)
    runs = [
        dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, **techniques))
        for run in specs(width, orders=1)
    ]
    task = load_encoded(runs[0].task, runs[0].model, 0)
    weights = load_weights_of(runs[0], task, prepare(EngineSpec(device="cpu")))
    plan = make_plan(runs[0].recipe, runs[0].evaluation, len(task.splits["train"]))
    examples = training_batches(len(task.splits["train"]), runs[0].recipe.batch_size, 0)
    batches = [collate(task.splits["train"], next(examples), task.pad_id) for _ in range(steps)]
    with Crew(threads) as crew:
        if engine == "serial":
            torch.set_num_threads(threads)
            trainee: Any = SerialTrainee(runs[0], task, weights, plan, {})
        else:
            trainee = PackedTrainee(runs, [plan] * width, task, weights, crew, 1)
        wall = cpu = 0.0
        for step, batch in enumerate(batches):
            if step == 4:
                wall, cpu = time.perf_counter(), time.process_time()
            trainee.update(batch, step, by_depth=False)
        n = (steps - 4) * (1 if engine == "serial" else width)
        return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


def report_study(threads: int, full: bool, repeats: int, case: str) -> None:
    """Print what 25 runs cost, all start-up included."""
    have = importlib.util.find_spec("accelerate") is not None
    kinds = [kind for kind in LABELS if have or kind in ("serial", "packed")]
    trained = {"process": 1, "loop": 3, "serial": 3, "packed": CELLS}
    if full:
        trained = {"process": 1, "loop": CELLS, "serial": CELLS, "packed": CELLS}
    best: dict[str, dict[str, float]] = {}
    measure("packed", 2, threads, case)  # fills the caches of files and of the tokenised task
    for _ in range(repeats):
        for kind in kinds:
            n = trained[kind]
            found = measure(kind, n, threads, case)
            once = 0.0 if kind == "process" else found["wall"] - found["training"]
            total = once + (found["wall"] - once) * CELLS / n
            share = total / found["wall"]
            cpu = found["cpu"] * share
            row = {"wall": total, "cpu": cpu, "start": found["start"], "memory": found["memory"]}
            if kind not in best or total < best[kind]["wall"]:
                best[kind] = row
    print(f"\n{CELLS} runs (5 x 5), {CASES[case]}, start-up included, best of {repeats}")
    print(f"{'':32}{'trained':>8}{'wall s':>9}{'cpu s':>9}{'MiB':>7}{'runs/h':>8}{'ratio':>7}")
    for kind in kinds:
        row = best[kind]
        print(
            f"{LABELS[kind]:32}{trained[kind]:8}{row['wall']:9.1f}{row['cpu']:9.1f}"
            f"{row['memory']:7.0f}{CELLS * 3600 / row['wall']:8.0f}"
            f"{row['wall'] / best['packed']['wall']:7.2f}"
        )
    print("where fewer than all runs were trained, wall and cpu are extrapolated per run")


def report_steps(threads: int, repeats: int) -> None:
    """Print the cost of an update, and its share of the machine's matrix products."""
    whole, computed = work_per_step()
    print(f"\none update per run, {threads} threads; best of {repeats} in alternation")
    print(f"a step is {whole:.3f} GFLOP on real tokens, of which {computed:.3f} are computed")
    widths = (1, 2, 4, 8, 16, 25)
    rows: dict[tuple[str, int], list[tuple[float, float]]] = {}
    peak = 0.0
    for _ in range(repeats):
        for case in (("serial", 1), *(("packed", width) for width in widths)):
            peak = max(peak, ceiling(threads))
            rows.setdefault(case, []).append(steady(*case, threads))
    floor = min(wall for wall, _ in rows["serial", 1])
    print(f"ceiling of matrix products: {peak:.0f} GFLOP/s")
    print(f"{'':14}{'wall ms':>9}{'cpu ms':>9}{'vs serial':>11}{'share':>8}{'computed':>10}")
    for (engine, width), values in rows.items():
        wall, cpu = min(w for w, _ in values), min(c for _, c in values)
        print(
            f"{engine:8}{width:4}  {wall * 1e3:9.2f}{cpu * 1e3:9.2f}{floor / wall:11.2f}"
            f"{whole / wall / peak:8.0%}{computed / wall / peak:10.0%}"
        )


def report_cells(sizes: tuple[int, ...]) -> None:
    """Print what a whole study costs as its grid grows, at 20 updates per run.

    The command as a user issues it: planning, workers, training, records.
    """
    print("\na study as its grid grows (embedded task, 20 updates and one evaluation per run)")
    print(f"{'cells':>6}{'wall s':>9}{'per run':>9}{'again s':>9}")
    for side in sizes:
        with tempfile.TemporaryDirectory() as studies:
            overrides = [
                "study=cells",
                f"studies_dir={studies}",
                "recipe.max_steps=20",
                "evaluation.per_epoch=0",
                "evaluation.at_start=false",
                f"seed.init=range(0,{side})",
                f"seed.order=range(0,{side})",
            ]
            command = [sys.executable, "-m", "seedlab", "run", "-m", *overrides]
            walls = []
            for _ in range(2):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                walls.append(time.perf_counter() - start)
        print(f"{side**2:6}{walls[0]:9.1f}{walls[0] / side**2:9.3f}{walls[1]:9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="train all runs, extrapolate nothing")
    parser.add_argument("--only", choices=("study", "steps", "cells"))
    parser.add_argument("--case", choices=tuple(CASES), help="the grid of one case alone")
    parser.add_argument("--worker", nargs=5, metavar=("KIND", "N", "ORDERS", "THREADS", "CASE"))
    options = parser.parse_args()
    if options.worker:
        kind, case = options.worker[0], options.worker[4]
        n, orders, threads = map(int, options.worker[1:4])
        if kind in ("process", "loop"):
            found = train_trainer(n, threads, case)
        else:
            found = train_seedlab(kind, n, orders, threads, case)
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found))
        return
    if options.only in (None, "steps"):
        report_steps(options.threads, options.repeats)
    if options.only in (None, "study"):
        have = Path(os.environ.get("SEEDLAB_DATA", "")) / "models" / "minilm-l6"
        cases = (
            ["embedded", "sst2"] if "SEEDLAB_DATA" in os.environ and have.is_dir() else ["embedded"]
        )
        for case in [options.case] if options.case else cases:
            report_study(options.threads, options.full, options.repeats, case)
    if options.only in (None, "cells"):
        report_cells((5, 10, 25) if options.full else (5, 10))


if __name__ == "__main__":
    main()
