"""`PackedEngine`: trains the runs of a column as stacked computations that share their batches.

A column's runs see the same examples at every step, so batches, index vectors and dropout masks
are made once. The runs are divided into stacks. On a CPU every run is a stack by itself, so its
activations and gradients fit in the caches. Each thread computes whole stacks, not parts of
operations. So a run's bits depend neither on its neighbours, nor on the pack's width, nor on the
number of threads. On a GPU one stack contains all runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.cuda_graphs import CudaGraphCapturer, GraphCapturer
from seedlab.engines.packed.fixed_width import FixedWidth
from seedlab.engines.packed.memory import PackMemoryError, ran_out
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.thread_pool import ThreadPool
from seedlab.errors import is_out_of_memory
from seedlab.models.pretrained import Weights
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import TECHNIQUES
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
        Runs per stack; None: one on a CPU, all runs on a GPU.
    slots : int or None
        Fixed number of computed runs, filled up with dummies; None: only the runs themselves.
        Stacks of one run ignore it: their bits do not depend on other runs.
    buckets : bool or None
        Build batches on the device, in a few shapes; None: only on a GPU.
    capturer : callable, optional
        Returns a new `seedlab.engines.packed.cuda_graphs.GraphCapturer`; forward and backward
        passes are then captured as CUDA graphs.
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
        """Return the settings that affect a run's bits besides the run itself."""
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
        """Train every run; yield the results of each column when it is complete.

        After a pack of one run, the model of `weights` has that run's final weights.

        Parameters
        ----------
        runs : sequence of RunSpec
            They have one task, model and precision.
        task : EncodedTask
        weights : Weights
            Loaded for this task; runs are trained on its device.
        callbacks : Callbacks

        Raises
        ------
        SeedlabError
            When the architecture can't be stacked, or the estimated memory is not available.
        PackMemoryError
            When memory runs out during training.
        """
        device = weights.model.device
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            # No operation here reads uninitialised memory, so torch need not fill it.
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
                # Dummies are copies of the last run.
                filled = column + column[-1:] * ((slots or 0) - len(column))
                plans = [make_plan(run.recipe, run.evaluation, n) for run in filled]
                options = self._compute_options(device, len(filled))
                try:
                    packed = ColumnModel(filled, plans, task, weights, thread_pool, options)
                    pack_model = packed if slots is None else FixedWidth(packed, len(column))
                    for slot, checkpoint in enumerate(checkpoints):
                        pack_model.load(slot, checkpoint.tensors)
                    histories = train_column(
                        pack_model, column, plans[0], task, callbacks, checkpoints
                    )
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    raise PackMemoryError(ran_out(len(column), error)) from error
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
                    first = slot - slot % options.stack
                    mates = histories[first : first + options.stack]
                    own = {
                        "slot": slot,
                        "stack": min(options.stack, len(filled) - first),
                        # For a resumed run it is not known which runs left its stack before.
                        "narrowed": not alone
                        and slots is None
                        and (
                            bool(checkpoints)
                            or any(len(mate.losses) < len(history.losses) for mate in mates)
                        ),
                    }
                    yield history.result(run, plan, rates, {**shared, **own})
                # Free memory now: the next column is planned by the memory that is free.
                del packed, pack_model
                thread_pool.release()

    def _alone(self, device: str) -> bool:
        """Whether every stack has one run."""
        return self.stack == 1 or (self.stack is None and device == "cpu")

    def _compute_options(self, device: torch.device, slots: int) -> ComputeOptions:
        """Return the options for a column of `slots` runs; unset ones follow the device."""
        stack = 1 if self._alone(device.type) else self.stack or slots
        buckets = device.type != "cpu" if self.buckets is None else self.buckets
        return ComputeOptions(stack, buckets, self.capturer)


def columns(
    runs: Sequence[RunSpec], n_examples: int, made: Mapping[RunSpec, int]
) -> list[list[RunSpec]]:
    """Return the runs in columns: groups that can be trained together.

    The runs of a column agree in order seed, steps and evaluations, loss, updates already made, and
    in every technique that is not `seedlab.techniques.technique.Technique.per_run`. Optimiser,
    schedule, clipping, dropout and the other techniques may differ.

    Parameters
    ----------
    runs : sequence of RunSpec
    n_examples : int
        Training examples.
    made : mapping of run to int
        Updates already made by runs that resume from a checkpoint.
    """
    groups: dict[object, list[RunSpec]] = {}
    for run in runs:
        plan = make_plan(run.recipe, run.evaluation, n_examples)
        recipe = run.recipe
        key = (
            *(run.seeds.order, recipe.batch_size, recipe.accumulation, plan.total_steps),
            *(run.evaluation, plan.evaluation_steps, plan.averaging_start, run.diagnostics),
            recipe.loss,
            *(getattr(recipe, name) for name, kind in TECHNIQUES.items() if not kind.per_run),
            made.get(run, 0),
        )
        groups.setdefault(key, []).append(run)
    return list(groups.values())
