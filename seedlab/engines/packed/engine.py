"""The packed engine: the runs of a column as stacked computations that share their batches.

A column's runs see the same examples at every step, so batches, index vectors and dropout
masks are made once. The runs are cut into stacks: on a CPU every run is a stack of its own,
small enough for its activations and gradients to stay in the caches, and threads take stacks
rather than parts of operations; a run's arithmetic then depends neither on its neighbours nor
on the pack's width nor on the number of threads. On a GPU one stack holds all runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.cuda_graphs import ComputeOptions, CudaGraphCapturer, GraphCapturer
from seedlab.engines.packed.fixed_width import FixedWidth
from seedlab.engines.packed.memory import PackMemoryError, is_out_of_memory
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.models.pretrained import Weights
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.learning_rates import learning_rates
from seedlab.training.loop import Callbacks, train_column
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan


class PackedEngine:
    """Trains the runs of a pack together, column by column.

    Parameters
    ----------
    stack : int or None
        Runs per stack; None: one on a CPU, all of them on a GPU.
    slots : int or None
        Compute always so many runs, dummies among them; None: as many as there are. Stacks of
        one run need none: their bits depend on nobody.
    buckets : bool or None
        Make batches on the device, in a few shapes; None: on a GPU.
    recorder : callable, optional
        Makes a `seedlab.engines.packed.cuda_graphs.GraphCapturer`: forward and backward are recorded.
    """

    name = "packed"

    def __init__(
        self,
        stack: int | None = None,
        slots: int | None = None,
        buckets: bool | None = None,
        capturer: Callable[[], GraphCapturer] | None = None,
    ) -> None:
        self.stack, self.slots, self.buckets, self.capturer = stack, slots, buckets, capturer

    @classmethod
    def of(cls, settings: EngineSpec) -> PackedEngine:
        """Return the engine as a configuration describes it."""
        slots = settings.width if settings.constant_width else None
        return cls(settings.stack, slots, capturer=CudaGraphCapturer if settings.graphs else None)

    def circumstances(self, device: str) -> dict[str, Any]:
        """Return what decides the bits of a run beside the run itself: who is computed with it."""
        alone = self._alone(device)
        return {
            "stack": 1 if alone else self.stack,
            "slots": None if alone else self.slots,
            "graphs": self.capturer is not None,
        }

    def train(
        self,
        runs: Sequence[RunSpec],
        task: EncodedTask,
        weights: Weights,
        callbacks: Callbacks,
    ) -> Iterator[RunResult]:
        """Train every run and yield the results of a column as soon as it is through.

        After a pack of one run, the model of `weights` is that run's.

        Parameters
        ----------
        runs : sequence of RunSpec
            Of one task, model and precision.
        task : EncodedTask
        weights : Weights
            Loaded for this task; runs are trained on its device.
        watch : Callbacks

        Raises
        ------
        SeedlabError
            When the architecture can't be stacked, or the pack can't fit into memory.
        PackMemoryError
            When memory runs out all the same.
        """
        device = weights.model.device
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            # Nothing here reads memory that was not written; filling it all would be waste.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        n, threads = len(task.splits["train"]), torch.get_num_threads()
        alone = self._alone(device.type)
        slots = None if alone else self.slots
        with ThreadPool(threads if device.type == "cpu" else 1) as thread_pool:
            checkpoint_manager = callbacks.checkpoint_manager
            found = (
                {}
                if checkpoint_manager is None
                else {run: checkpoint_manager.load(run.run_id) for run in runs}
            )
            for column in columns(runs, n, {run: c.step for run, c in found.items() if c}):
                checkpoints = [c for run in column if (c := found.get(run)) is not None]
                # Dummies repeat the last run.
                filled = column + column[-1:] * ((slots or 0) - len(column))
                plans = [make_plan(run.recipe, run.evaluation, n) for run in filled]
                how = self._execution(device, len(filled))
                try:
                    packed = ColumnModel(filled, plans, task, weights, thread_pool, how)
                    pack_model = packed if slots is None else FixedWidth(packed, len(column))
                    for slot, checkpoint in enumerate(checkpoints):
                        pack_model.load(slot, checkpoint.tensors)
                    histories = train_column(
                        pack_model, column, plans[0], task, callbacks, checkpoints
                    )
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    raise PackMemoryError(
                        f"a pack of {len(column)} runs ran out of memory ({error}); use a smaller "
                        "engine.width."
                    ) from error
                if len(runs) == 1:
                    pack_model.restore(weights, 0)
                shared = {
                    "engine": self.name,
                    "width": len(filled),
                    "constant_width": slots is not None,
                    "graphs": self.capturer is not None,
                    "threads": threads,
                    "device": str(device),
                }
                layers = len(packed.partition.architecture.layers)
                for slot, (run, plan, history) in enumerate(
                    zip(column, plans, histories, strict=False)
                ):
                    rates = learning_rates(run.recipe, plan, layers)
                    first = slot - slot % how.stack
                    mates = histories[first : first + how.stack]
                    own = {
                        "slot": slot,
                        "stack": min(how.stack, len(filled) - first),
                        # After a pause, who was in its stack before is not known.
                        "narrowed": not alone
                        and slots is None
                        and (
                            bool(checkpoints)
                            or any(len(mate.losses) < len(history.losses) for mate in mates)
                        ),
                    }
                    yield history.result(run, plan, rates, {**shared, **own})
                # Before the next column is planned, by what memory is free.
                del packed, pack_model
                thread_pool.release()

    def _alone(self, device: str) -> bool:
        """Whether every run is a stack by itself."""
        return self.stack == 1 or (self.stack is None and device == "cpu")

    def _execution(self, device: torch.device, slots: int) -> ComputeOptions:
        """Return how so many slots are computed on a device, where nothing was said."""
        stack = 1 if self._alone(device.type) else self.stack or slots
        buckets = device.type != "cpu" if self.buckets is None else self.buckets
        return ComputeOptions(stack, buckets, self.capturer)


def columns(
    runs: Sequence[RunSpec], n_examples: int, made: Mapping[RunSpec, int]
) -> list[list[RunSpec]]:
    """Return the runs grouped by what must agree for them to be trained together.

    That is the order seed, the shape of the plan, the loss, what is frozen, adapters, mixout,
    and the updates already made: optimiser, schedule, clipping, dropout and the other techniques
    are each run's own.

    Parameters
    ----------
    runs : sequence of RunSpec
    n_examples : int
        For training.
    made : mapping of run to int
        Updates of the runs that go on from a checkpoint.
    """
    groups: dict[object, list[RunSpec]] = {}
    for run in runs:
        plan = make_plan(run.recipe, run.evaluation, n_examples)
        recipe = run.recipe
        key = (
            *(run.seeds.order, recipe.batch_size, recipe.accumulation, plan.total_steps),
            *(run.evaluation, plan.evaluation_steps, plan.averaging_start, run.diagnostics),
            *(recipe.loss, recipe.freeze, recipe.adapter, recipe.mixout),
            made.get(run, 0),
        )
        groups.setdefault(key, []).append(run)
    return list(groups.values())
