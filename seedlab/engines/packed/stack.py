"""`Stack`: runs that are computed together: forward pass, backward pass and update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.packed.cuda_graphs import GraphStream
from seedlab.engines.packed.encoder.adam import StackedAdam, compacted
from seedlab.engines.packed.encoder.context import ForwardContext, NamedTensors
from seedlab.engines.packed.encoder.loss import losses_and_gradient
from seedlab.engines.packed.encoder.ragged_batch import Ragged
from seedlab.engines.packed.encoder.ragged_dropout import stack_masks
from seedlab.engines.packed.evaluation_batches import Batches
from seedlab.engines.packed.frozen_trunk import stack_outputs
from seedlab.engines.packed.initial_weights import InitialWeights
from seedlab.engines.packed.options import RunOptions, StackOptions
from seedlab.engines.packed.shared_batch import SharedBatch
from seedlab.engines.packed.step_effects import StackSteps
from seedlab.engines.packed.thread_pool import WorkBuffers


class Stack:
    """Runs that are computed together.

    Parameters
    ----------
    options : StackOptions
    run_options : sequence of RunOptions
        One per run.
    weights : (run, size) tensor
        Trained parameters; updated in place.
    initial_weights : InitialWeights or None
        None if no technique or diagnostic needs them.
    """

    graph_stream: GraphStream | None = None
    """Set if forward and backward passes are captured as CUDA graphs."""

    def __init__(
        self,
        options: StackOptions,
        run_options: Sequence[RunOptions],
        weights: torch.Tensor,
        initial_weights: InitialWeights | None,
    ) -> None:
        self.options, self.run_options = options, list(run_options)
        self.initial_weights = initial_weights
        layout = options.layout
        segments = [layout.segments(own.parameter_plan.column) for own in run_options]
        self.optimizer = StackedAdam(layout, [own.adam for own in run_options], weights, segments)
        # None without a step effect, so that a step costs no more than without techniques.
        active = any(own.parameter_plan.steps.effects for own in run_options)
        self.steps = StackSteps(layout, run_options) if active else None
        dtype = options.copy_dtype
        self.copies = None if dtype is None else weights.to(dtype)
        self.exempt = self._exempt_copies()
        self.parameters = options.parameters(weights, self.copies, self.exempt)

    def __len__(self) -> int:
        return len(self.run_options)

    def update(
        self, shared: SharedBatch, step: int, memory: WorkBuffers, by_depth: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one update of all runs; return (run,) losses and gradient norms.

        Parameters
        ----------
        shared : SharedBatch
            The inputs of these runs.
        step : int
            Number of the update, counted from 0.
        memory : WorkBuffers
        by_depth : bool
            Return (run, depth) norms.
        """
        runs = len(self)
        if self.graph_stream is None or shared.graph_key is None:
            losses = self._backward(shared, memory)
        else:
            losses = self.graph_stream.graphs.run(
                shared.graph_key, lambda: self._backward(shared.uncached(), memory), shared.version
            )
        flat = memory.flat[:runs]
        if self.steps is not None:
            self.steps.on_gradients(step, flat)
        profile = self._by_depth(flat) if by_depth else None
        rates = [own.parameter_plan.rates[step].tolist() for own in self.run_options]
        optimizer = self.optimizer
        if self.steps is not None:
            weights, decayed, start = optimizer.weights, optimizer.decayed, self.initial_weights
            self.steps.before(step, weights, decayed, start, rates)
        norms = optimizer.update(flat, step, rates)
        if self.steps is not None:
            self.steps.after(step, optimizer.weights, optimizer.decayed)
        self._update_copies()
        return losses, norms if profile is None else profile.sqrt()

    def _backward(self, shared: SharedBatch, memory: WorkBuffers) -> torch.Tensor:
        """Compute the gradients, into `memory`; return the (run,) losses."""
        runs, options, encoder = len(self), self.options, self.options.encoder
        rows = sum(len(labels) for _, labels in shared.parts)
        grads, total, mixout = memory.views(runs), None, stack_masks(list(shared.mixout))
        effective_grads = memory.effective_grads(runs)
        p, g = self._parameters(self.parameters, memory, mixout), {**grads, **effective_grads}
        for number, (batch, labels) in enumerate(shared.parts):
            masks = stack_masks([shared.masks[number][key] for key in shared.keys])
            outputs = shared.trunk_outputs
            trunk_output = stack_outputs(outputs[number]) if outputs else None
            at = ForwardContext(p, batch, masks, memory.work, g, number > 0, runs)
            losses, grad = losses_and_gradient(
                encoder.forward(at, trunk_output), labels, rows, options.root_loss
            )
            total = losses if total is None else total + losses
            encoder.backward(at, grad)
        if options.parametrization is not None:
            options.parametrization.backward(
                self.parameters, effective_grads, grads, mixout, memory.work
            )
        memory.gather(runs)
        return torch.as_tensor(total).reshape(-1)

    def logits(
        self, batches: Batches, memory: WorkBuffers, averaged: bool
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Yield numbers of examples and their (run, row, class) logits."""
        runs, p = len(self), self._scoring(memory, averaged)
        for indices, batch, trunk_output in batches:
            # Batches are kept between evaluations. Index vectors of several runs would be large.
            at = ForwardContext(
                p, batch if runs == 1 else batch.uncached(), {}, memory.work, runs=runs
            )
            x = None if trunk_output is None else stack_outputs([trunk_output] * runs)
            logits = self.options.encoder.forward(at, x).reshape(runs, batch.n_rows, -1)
            yield indices, np.asarray(logits.float().cpu().numpy())

    def first_tokens(
        self, batches: Sequence[Ragged], memory: WorkBuffers
    ) -> npt.NDArray[np.float32]:
        """Return the (run, depth, row, feature) first tokens, without dropout, for live weights."""
        p, found = self._scoring(memory, False), []
        for batch in batches:
            at = ForwardContext(p, batch, {}, memory.work, runs=len(self))
            tokens = [
                x.reshape(len(self), batch.n_rows, -1)
                for x in self.options.encoder.first_tokens(at)
            ]
            found.append(torch.stack(tokens, 1))
        return np.asarray(torch.cat(found, 2).float().cpu().numpy())

    def distances(self) -> torch.Tensor:
        """Return the (run, depth) L2 distances of the weights from their initial values."""
        # One vector serves all runs: a (run, size) buffer would be a fourth one beside the moments.
        moved = torch.zeros_like(self.optimizer.weights[:1])
        views = self.options.layout.views(moved[0])
        by_run = []
        for run in range(len(self)):
            for name, weight in self._weights(run).items():
                torch.sub(weight, self._start(name, run), out=views[name])
            by_run.append(self._by_depth(moved))
        squares = torch.cat(by_run)
        decayed = torch.tensor(self.optimizer.decayed, dtype=squares.dtype, device=squares.device)
        squares[:, 0] += (decayed - 1.0).square() * self.options.unused_squares
        return squares.sqrt()

    def scored_last(self, run: int) -> tuple[torch.Tensor, float]:
        """Return a run's (size,) vector, averaged if there is an average, and a decay factor.

        The factor applies to the initial values of embedding rows that the task never uses.
        """
        scored = None if self.steps is None else self.steps.scored
        if scored is None or not scored.made[run]:
            return self.optimizer.weights[run], self.optimizer.decayed[run]
        return scored.flat[run], float(scored.unused[run])

    def scored_weights(self, run: int) -> dict[str, torch.Tensor]:
        """Return the weights of a run that were scored last, copied to the host."""
        values, untouched = self.scored_last(run)
        factor = torch.tensor(untouched, dtype=torch.float64)
        return {"weights": values.to("cpu", copy=True), "decayed": factor}

    # The average that an update made is an inference tensor, which only this mode may change.
    @torch.inference_mode()
    def put_back(self, run: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Make weights that `scored_weights` returned a run's weights, and its average if any."""
        optimizer, factor = self.optimizer, float(weights["decayed"])
        optimizer.weights[run].copy_(weights["weights"])
        optimizer.decayed[run] = factor
        scored = None if self.steps is None else self.steps.scored
        if scored is not None:
            scored.flat[run].copy_(weights["weights"])
            scored.unused[run] = factor
        self._update_copies()

    def state(self, run: int) -> dict[str, torch.Tensor]:
        """Return the state of a run, copied to the host."""
        optimizer = self.optimizer
        kept = {
            "weights": optimizer.weights[run],
            "first": optimizer.first[run],
            "second": optimizer.second[run],
            "decayed": torch.tensor(optimizer.decayed[run], dtype=torch.float64),
        }
        if self.steps is not None:
            kept |= self.steps.state(run)
        return {name: tensor.to("cpu", copy=True) for name, tensor in kept.items()}

    def load(self, run: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the state of a run to the tensors that `state` returned."""
        optimizer = self.optimizer
        optimizer.weights[run].copy_(tensors["weights"])
        optimizer.first[run].copy_(tensors["first"])
        optimizer.second[run].copy_(tensors["second"])
        optimizer.decayed[run] = float(tensors["decayed"])
        if self.steps is not None:
            self.steps.load(run, tensors, optimizer.weights)
        self._update_copies()

    def keep(self, runs: Sequence[int]) -> None:
        """Keep only these runs, given in their order. Their vectors move; none is copied."""
        self.optimizer.keep(runs)
        self.run_options = [self.run_options[run] for run in runs]
        if self.steps is not None:
            self.steps.keep(runs)
        if self.initial_weights is not None:
            self.initial_weights.keep(runs)
        self.copies = None if self.copies is None else compacted(self.copies, runs)
        self.exempt = self._exempt_copies()
        self.parameters = self.options.parameters(self.optimizer.weights, self.copies, self.exempt)
        if self.graph_stream is not None:
            self.graph_stream.graphs.clear()

    def _update_copies(self) -> None:
        """Update the low-precision copies, and those of biases and norms."""
        if self.copies is not None:
            self.copies.copy_(self.optimizer.weights)
        if self.exempt is not None:
            self.exempt.copy_(self.optimizer.weights[:, self.options.layout.decayed :])

    def _exempt_copies(self) -> torch.Tensor | None:
        """Return (run, size - decayed) copies of biases and norms; None for one run.

        The biases of several runs are as far apart as the runs' vectors. Beyond 2**31 bytes a GPU computes
        every operation that reads them in as many kernels as there are runs.
        """
        if len(self) == 1:
            return None
        return self.optimizer.weights[:, self.options.layout.decayed :].clone(
            memory_format=torch.contiguous_format
        )

    def _scoring(self, memory: WorkBuffers, averaged: bool) -> NamedTensors:
        """Return the parameters for evaluation, by name."""
        p = self.parameters
        if averaged:
            scored = None if self.steps is None else self.steps.scored
            assert scored is not None  # the loop knows when averaging starts
            p = self.options.parameters(scored.flat)
        parametrization = self.options.parametrization
        return (
            p
            if parametrization is None or not parametrization.in_evaluation
            else self._parameters(p, memory)
        )

    def _parameters(
        self, p: NamedTensors, memory: WorkBuffers, masks: NamedTensors | None = None
    ) -> NamedTensors:
        """Return the parameters by name; effective weights replace trained ones, if any."""
        parametrization = self.options.parametrization
        if parametrization is None:
            return p
        weights = memory.effective_weights(len(self))
        start = {} if self.initial_weights is None else self.initial_weights.stacked()
        parametrization.fill(p, weights, start, masks or {})
        return {**p, **weights}

    def _by_depth(self, flat: torch.Tensor) -> torch.Tensor:
        """Return the (run, depth) sums of squares of a (run, size) buffer, in float64."""
        parameter_plan = self.run_options[0].parameter_plan
        squares = flat.new_zeros((len(flat), parameter_plan.n_depths), dtype=torch.float64)
        for part in self.options.layout.segments(parameter_plan.depths.__getitem__):
            # Row by row: the float64 copies of a whole stack would be twice as large as its weights.
            for run, row in enumerate(flat.unbind()):
                segment = row[None, part.start : part.stop]
                squares[run : run + 1, part.column] += segment.double().square().sum(1)
        return squares

    def _weights(self, run: int) -> NamedTensors:
        """Return a run's weights by name."""
        return self.options.layout.tensors(self.optimizer.weights[run])

    def _start(self, name: str, run: int) -> torch.Tensor:
        """Return the initial value of a run's parameter."""
        assert self.initial_weights is not None  # given if a technique or diagnostic needs it
        return self.initial_weights.of(name, run)
