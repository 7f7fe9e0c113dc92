"""The plan of a dry run as text: cells, packs, steps, rates, memory, time."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from seedlab.application.collected_rates import collect
from seedlab.application.pace import Pace, elapsed, measure_pace
from seedlab.application.rate_sparklines import rate_lines
from seedlab.durations import duration
from seedlab.inputs.content import load_encoded
from seedlab.inputs.loaded import load_weights_of, prepare
from seedlab.spec.pack import EngineSpec, Pack, shape_key
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.tasks.unknown_tokens import unknown_text
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import StepPlan, make_plan

MOST_SCHEDULES = 6
"""Schedules that are drawn for runs that share their shape."""


@dataclass(frozen=True)
class Probe:
    """The pace and the memory of a pack on this machine, and the model's parameters.

    Parameters
    ----------
    pace : Pace
    peak_bytes : int
        Peak memory of the process (CPU) or the device (CUDA) so far.
    device : str
    sizes : tuple of int
        Trainable numbers per depth; a single one where the architecture has no known depths.
    decays : tuple of (weight decay, tensors, numbers)
    """

    pace: Pace
    peak_bytes: int
    device: str
    sizes: tuple[int, ...]
    decays: tuple[tuple[float, int, int], ...]


def describe(
    specs: Sequence[RunSpec], packs: Sequence[Pack], on_record: set[str], workers: int
) -> str:
    """Return the plan of a batch as text.

    Parameters
    ----------
    specs : sequence of RunSpec
        All runs asked for.
    packs : sequence of Pack
        Packs of the runs still to train.
    on_record : set of str
        Ids of the runs that are trained to their end.
    workers : int
        Packs that are trained at the same time, at least 1.
    """
    done = sum(spec.run_id in on_record for spec in specs)
    widths = sorted({len(pack.runs) for pack in packs})
    lines = [
        f"runs     {len(specs)} asked for, {done} on record, {len(specs) - done} to train",
        f"packs    {len(packs)}" + (f" of {' or '.join(map(str, widths))} runs" if packs else ""),
    ]
    run_seconds: dict[RunSpec, float] = {}
    for key in dict.fromkeys(shape_key(spec) for spec in specs):
        members = [spec for spec in specs if shape_key(spec) == key]
        same = [pack for pack in packs if shape_key(pack.runs[0]) == key]
        pack = max(same, key=lambda pack: len(pack.runs)) if same else None
        engine = packs[0].engine if packs else EngineSpec()
        task = load_encoded(key.task, key.model, key.seeds.subsample, key.recipe.truncation)
        plan = make_plan(key.recipe, key.evaluation, len(task.splits["train"]))
        probe = measure(pack.runs if pack else members[:1], task, engine, plan)
        run_seconds[key] = probe.pace.run_seconds(key, plan, task)
        lines += ["", *_shape_lines(members, task, plan, probe, run_seconds[key])]
    seconds = [len(pack.runs) * run_seconds[shape_key(pack.runs[0])] for pack in packs]
    lines += ["", *_time_lines(seconds, workers)]
    lines += ["dry run: nothing was trained and no result was written"]
    return "\n".join(lines)


def _time_lines(pack_seconds: Sequence[float], workers: int) -> list[str]:
    """Return the estimated time of all packs, and its assumptions."""
    if not pack_seconds:
        return ["time     0 s: no run is left to train"]
    busy = min(workers, len(pack_seconds))
    several = (
        f", {duration(sum(pack_seconds))} of work shared by {busy} workers" if busy > 1 else ""
    )
    return [
        f"time     about {duration(elapsed(pack_seconds, workers))} for the runs still to train"
        f"{several}",
        "         An estimate from a moment of one pack on its own, every run trained to its end.",
        "         Not counted: the start of workers (seconds each), and what slows them down when",
        "         they run side by side or share this machine with other programs.",
    ]


def measure(
    runs: Sequence[RunSpec], task: EncodedTask, engine: EngineSpec, plan: StepPlan
) -> Probe:
    """Train the runs of a pack for a moment; no result is written."""
    import torch

    from seedlab.engines.serial.pack_model import SerialModel
    from seedlab.training.trained_sizes import trained_sizes

    device = prepare(engine)
    pace = measure_pace(runs, task, engine)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    if device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    weights = load_weights_of(runs[0], task, device)
    model = SerialModel(runs[0], task, weights, plan, {})
    trained = sum(parameter.numel() for parameter in model.parameters.values())
    decays: dict[float, list[int]] = {}
    for options in model.optimizer.param_groups:
        found = decays.setdefault(float(options["weight_decay"]), [])
        found += [p.numel() for p in options["params"]]
    return Probe(
        pace,
        peak,
        device,
        trained_sizes(runs[0], plan, weights) or (trained,),
        tuple((decay, len(found), sum(found)) for decay, found in sorted(decays.items())[::-1]),
    )


def _shape_lines(
    members: Sequence[RunSpec], task: EncodedTask, plan: StepPlan, probe: Probe, seconds: float
) -> list[str]:
    """Return the lines about runs that differ in seeds, optimisers and schedules alone."""
    run = members[0]
    inits = sorted({spec.seeds.init for spec in members})
    orders = sorted({spec.seeds.order for spec in members})
    sizes = ", ".join(f"{name} {len(split)}" for name, split in task.splits.items())
    pace = probe.pace
    together = "one run at a time" if pace.width == 1 else f"{pace.width} runs together"
    cut = sum(split.truncated for split in task.splits.values())
    unknown = [unknown_text(task)] if any(s.unknown for s in task.splits.values()) else []
    lines = [
        f"task     {task.name}: {sizes} examples; metric {task.metrics[0]}; "
        f"{cut} texts cut to {task.max_length} tokens",
        *(f"unknown  {text}" for text in unknown),
        f"model    {run.model.name}, {run.model.dtype}, on {probe.device}",
        f"recipe   {', '.join(dict.fromkeys(spec.recipe.name for spec in members))}",
        f"cells    {len(members)}: init seeds {_ranges(inits)} x order seeds {_ranges(orders)}",
        f"steps    {plan.total_steps} per run ({plan.steps_per_epoch} per epoch, batch "
        f"{run.recipe.batch_size}), warm-up {plan.warmup_steps}; "
        f"{len(plan.evaluation_steps)} evaluations",
        *_schedules(members, len(task.splits["train"]), probe.sizes),
        "decay    "
        + "; ".join(f"{decay:g} on {n:,} numbers in {k} tensors" for decay, k, n in probe.decays),
        f"memory   {probe.peak_bytes / 2**30:.2f} GiB per worker (measured after some updates)",
        f"time     {duration(seconds)} per run ({pace.step_seconds * 1e3:.1f} ms per update, "
        f"{pace.example_seconds * 1e3:.2f} ms per scored example; measured here: engine "
        f"{pace.engine}, {together}, {pace.threads} {'thread' if pace.threads == 1 else 'threads'})",
    ]
    return lines


def _schedules(members: Sequence[RunSpec], n_examples: int, sizes: Sequence[int]) -> list[str]:
    """Return the different learning-rate schedules of some runs, drawn as text."""
    drawn: dict[tuple[str, ...], int] = {}
    found = []
    for recipe, count in Counter(spec.recipe for spec in members).items():
        plan = make_plan(recipe, members[0].evaluation, n_examples)
        rates = learning_rates(recipe, plan, len(sizes) - 2)
        lines = tuple(rate_lines(rates, sizes, plan.warmup_steps, plan.averaging_start))
        drawn[lines] = drawn.get(lines, 0) + count
        found.append((recipe, rates))
    collect(members[0].task.name, found, sizes)
    if len(drawn) == 1:
        return [*next(iter(drawn))]
    shown = []
    for lines, count in list(drawn.items())[:MOST_SCHEDULES]:
        shown += [*lines, f"         of {count} run{'s' if count > 1 else ''}"]
    if len(drawn) > MOST_SCHEDULES:
        shown.append(f"         and {len(drawn) - MOST_SCHEDULES} more schedules")
    return shown


def _ranges(values: list[int]) -> str:
    """Return ``0..4`` for consecutive numbers, or a list."""
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]}..{values[-1]}"
    return ",".join(map(str, values))
