"""`Pack`: the runs that one worker trains together, and the cutting of a grid into packs.

Runs of one pack differ in nothing that changes a tensor's shape. They are of one column (one
order seed), because runs of a column share their batches. After early stopping columns are
short. A pack then has several of them, so that all workers have equal loads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from seedlab.errors import SeedlabError
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import RunSpec, Seeds


@dataclass(frozen=True)
class EngineSpec:
    """How a pack is computed: recorded with every run, never part of its identity."""

    name: str = "serial"
    """auto (packed if it can compute the run, otherwise serial) | packed | serial: one run after another,
    any architecture"""
    width: int = 1
    """runs per pack"""
    threads: int | None = None
    """CPU threads per worker; None: the machine's cores divided by the launcher's slots"""
    device: str = "auto"
    """auto (the first CUDA device if there is one) | cpu | cuda"""
    stack: int | None = None
    """packed: runs that are computed as one; None: one on a CPU, all of them on a GPU"""
    graphs: bool = False
    """packed, on a GPU: record training steps as CUDA graphs, one per shape of batch; with
    stack=1 the runs' graphs are computed side by side"""
    constant_width: bool = False
    """packed, on a GPU: always compute `width` runs, so that a run's bits do not change when
    another run of its stack ends; an empty slot costs as much as a run"""
    workers_per_gpu: int = 1
    """workers that share a GPU, where packs are small; each plans with its share of the GPU's
    memory and gets no more"""
    score: str = "best"
    """best (after step 0) | final: the validation score that a job reports to Hydra"""


@dataclass(frozen=True)
class Stage:
    """The part of training that a pack does in one go, and its checkpoints.

    Parameters
    ----------
    every : int or None
        Updates between two checkpoints.
    until : int or None
        Updates after which the runs pause; None: they are trained to their end.
    keep : int or None
        Number of runs of `cohort` that may be promoted at the pause. Only the best so many need
        a checkpoint. None: any run may be promoted.
    cohort : tuple of run ids
        All runs that are compared at the pause.
    seed : int
        Seed that breaks ties among them.
    """

    every: int | None = None
    until: int | None = None
    keep: int | None = None
    cohort: tuple[str, ...] = ()
    seed: int = 0


TO_THE_END = Stage()


@dataclass(frozen=True)
class Pack:
    """Runs that are trained together, the engine that trains them, and how far."""

    runs: tuple[RunSpec, ...]
    engine: EngineSpec
    stage: Stage = TO_THE_END


def cell(run: RunSpec) -> tuple[int, int]:
    """Return a run's place in the grid: (init seed, order seed)."""
    return run.seeds.init, run.seeds.order


def shape_key(run: RunSpec) -> RunSpec:
    """Return the run without its seeds and rates: runs with equal keys may share a pack.

    Optimiser, schedule and clipping are numbers of each run's own; they change no shape.
    """
    plain = RecipeSpec()
    recipe = dataclasses.replace(
        run.recipe,
        name=plain.name,
        optimizer=plain.optimizer,
        schedule=plain.schedule,
        clip=plain.clip,
    )
    return dataclasses.replace(run, recipe=recipe, seeds=Seeds(subsample=run.seeds.subsample))


def form_packs(
    runs: Sequence[RunSpec], engine: EngineSpec, stage: Stage = TO_THE_END
) -> list[Pack]:
    """Return packs of at most `engine.width` runs, each of one column.

    Parameters
    ----------
    runs : sequence of RunSpec
        Distinct runs; their order is kept between columns.
    engine : EngineSpec
    stage : Stage

    Returns
    -------
    list of Pack
        Every run is in exactly one pack.

    Raises
    ------
    SeedlabError
        When a run appears twice.
    """
    seen: dict[str, RunSpec] = {}
    groups: dict[RunSpec, dict[int, list[RunSpec]]] = {}
    for run in runs:
        if run.run_id in seen:
            raise SeedlabError(
                f"the grid names one run twice (init seed {run.seeds.init}, order seed "
                f"{run.seeds.order}, recipe '{run.recipe.name}', task '{run.task.name}'); every "
                "combination of overrides must be a run of its own: remove the repeated value."
            )
        seen[run.run_id] = run
        columns = groups.setdefault(shape_key(run), {})
        columns.setdefault(run.seeds.order, []).append(run)
    return [
        Pack(tuple(column[start : start + engine.width]), engine, stage)
        for columns in groups.values()
        for column in columns.values()
        for start in range(0, len(column), engine.width)
    ]


def cut_evenly(packs: Sequence[Pack], workers: int) -> list[Pack]:
    """Return the packs, the last of them cut so that no worker waits for the end of one.

    Packs are handed out in order. Those of the last round, where there are fewer of them than
    workers, are cut into parts that are as equal as can be.
    """
    left = len(packs) % workers
    kept = len(packs) - left
    parts = [
        dataclasses.replace(pack, runs=pack.runs[start : start + size])
        for pack in packs[kept:]
        for size in [-(-len(pack.runs) * left // workers)]
        for start in range(0, len(pack.runs), size)
    ]
    return [*packs[:kept], *parts]


def repack(runs: Sequence[RunSpec], engine: EngineSpec, stage: Stage, workers: int) -> list[Pack]:
    """Return packs of the runs that early stopping left, with equal loads for all workers.

    Columns that are longer than a worker's share are cut. Then the pieces, the longest first,
    each go to the pack with the fewest runs; a pack is full at `engine.width` runs.

    Parameters
    ----------
    runs : sequence of RunSpec
        Runs of one shape, see `shape_key`.
    engine : EngineSpec
    stage : Stage
    workers : int
        Packs that are trained at the same time, at least 1.
    """
    share = min(engine.width, -(-len(runs) // workers)) if runs else 1
    short = dataclasses.replace(engine, width=share)
    pieces = sorted((pack.runs for pack in form_packs(runs, short)), key=len, reverse=True)
    loads: list[list[RunSpec]] = [[] for _ in range(workers)]
    for piece in pieces:
        room = [load for load in loads if len(load) + len(piece) <= engine.width]
        if not room:
            loads.append([])
        min(room or loads[-1:], key=len).extend(piece)
    return [Pack(tuple(load), engine, stage) for load in loads if load]
