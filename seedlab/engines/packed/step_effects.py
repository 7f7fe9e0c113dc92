"""`StackSteps`: the step effects of techniques, on the vectors of a stack's runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from seedlab.engines.packed.encoder.adam import compacted
from seedlab.engines.packed.encoder.context import NamedTensors
from seedlab.engines.packed.encoder.flat_layout import FlatLayout
from seedlab.engines.packed.initial_weights import InitialWeights
from seedlab.engines.packed.options import RunOptions
from seedlab.engines.packed.thread_pool import drop_single_run_axis
from seedlab.training.techniques.step_effect import StepEffect, StepEffects

_REACHED, _UNUSED = "reached", "unused"
"""Names of the whole vectors that an elementwise effect gets."""


@dataclass
class RunBuffer:
    """A buffer of the weights' size for every run.

    Parameters
    ----------
    flat : (run, size) tensor
    unused : (run,) tensor of float64
        Factor of the embedding rows that the task never uses, on the host.
    made : list of bool
        Whether the buffer of a run is in use yet.
    """

    flat: torch.Tensor
    unused: torch.Tensor
    made: list[bool]

    # A buffer that an update made is an inference tensor, which only this mode may change.
    @torch.inference_mode()
    def keep(self, runs: Sequence[int]) -> None:
        """Keep only these runs, given in their order."""
        self.flat, self.unused = compacted(self.flat, runs), self.unused[list(runs)]
        self.made = [self.made[run] for run in runs]


@dataclass(frozen=True)
class _Group:
    """Runs whose tensors an effect gets together: `select` is a slice (all runs) or one run's number."""

    select: slice | int
    runs: range
    options: RunOptions
    rates: Sequence[float] = field(default_factory=list)

    def of(self, flat: torch.Tensor) -> torch.Tensor:
        """Return the group's part of a (run, ...) tensor, without a run axis for one run."""
        return flat[self.select] if isinstance(self.select, int) else drop_single_run_axis(flat)

    def rate(self, name: str) -> float:
        return self.rates[self.options.parameter_plan.column(name)]


class StackSteps:
    """Applies the step effects of a stack's runs.

    Runs with equal effects and rates are given to an effect together, the others one by one.

    Parameters
    ----------
    layout : FlatLayout
    run_options : sequence of RunOptions
        One per run.
    """

    def __init__(self, layout: FlatLayout, run_options: Sequence[RunOptions]) -> None:
        self.layout, self.run_options = layout, list(run_options)
        self.buffers: dict[str, RunBuffer] = {}
        self._alike = self._are_alike()

    @property
    def scored(self) -> RunBuffer | None:
        """The buffer that is scored instead of the weights, if there is one yet."""
        return self.buffers.get(self._effects(self.run_options[0]).scored)

    def on_gradients(self, step: int, grads: torch.Tensor) -> None:
        """Change the (run, size) gradients, in place."""
        for group in self._groups():
            if effects := self._effects(group.options).on_gradients:
                tensors = self.layout.tensors(group.of(grads))
                for effect in effects:
                    effect.change_gradients(step, tensors)

    def before(
        self,
        step: int,
        weights: torch.Tensor,
        unused: list[float],
        initial_weights: InitialWeights | None,
        rates: Sequence[Sequence[float]],
    ) -> None:
        """Change the (run, size) weights before the optimiser's update, in place.

        Parameters
        ----------
        step : int
        weights : (run, size) tensor
        unused : list of float
            Factor of the embedding rows that the task never uses, by run; changed in place.
        initial_weights : InitialWeights or None
            Given if an effect needs it.
        rates : sequence over runs of sequences of float
            Learning rates by column.
        """
        for group in self._groups(rates):
            effects = self._effects(group.options).before
            if not effects:
                continue
            tensors = self.layout.tensors(group.of(weights))
            start = self._start(group, initial_weights)
            for effect in effects:
                effect.before_update(step, tensors, start, group.rate)
                for table in self._table():
                    factor = _factor(unused, group)
                    began = {table: torch.ones_like(factor)}
                    effect.before_update(step, {table: factor}, began, group.rate)
                    _write(factor, unused, group)

    def after(self, step: int, weights: torch.Tensor, unused: list[float]) -> None:
        """Apply effects after the optimiser's update; see `before`."""
        for group in self._groups():
            for effect in self._effects(group.options).after:
                self._after(effect, group, step, weights, unused)

    def state(self, run: int) -> dict[str, torch.Tensor]:
        """Return a run's part of the buffers, by name."""
        kept = {}
        for name, buffer in self.buffers.items():
            if buffer.made[run]:
                kept[name] = buffer.flat[run]
                kept[f"{name}_decayed"] = buffer.unused[run]
        return kept

    def load(self, run: int, tensors: Mapping[str, torch.Tensor], weights: torch.Tensor) -> None:
        """Set a run's part of the buffers to the tensors that `state` returned."""
        for name in self._effects(self.run_options[run]).buffers:
            if name in tensors:
                buffer = self._buffer(name, weights)
                buffer.flat[run].copy_(tensors[name])
                buffer.unused[run] = tensors[f"{name}_decayed"]
                buffer.made[run] = True

    def keep(self, runs: Sequence[int]) -> None:
        """Keep only these runs."""
        self.run_options = [self.run_options[run] for run in runs]
        self._alike = self._are_alike()
        for buffer in self.buffers.values():
            buffer.keep(runs)

    def _groups(self, rates: Sequence[Sequence[float]] | None = None) -> Iterator[_Group]:
        alike = self._alike and (rates is None or all(own == rates[0] for own in rates))
        own = rates or [[]] * len(self.run_options)
        if alike:
            yield _Group(slice(None), range(len(self.run_options)), self.run_options[0], own[0])
            return
        for run, options in enumerate(self.run_options):
            yield _Group(run, range(run, run + 1), options, own[run])

    def _are_alike(self) -> bool:
        first = self._effects(self.run_options[0])
        return all(self._effects(options) == first for options in self.run_options)

    def _after(
        self,
        effect: StepEffect,
        group: _Group,
        step: int,
        weights: torch.Tensor,
        unused: list[float],
    ) -> None:
        factor = _factor(unused, group)

        def buffer(name: str) -> RunBuffer:
            made = self._buffer(name, weights)
            for run in group.runs:
                if not made.made[run]:
                    made.flat[run].copy_(weights[run])
                    made.unused[run] = unused[run]
                    made.made[run] = True
            return made

        def whole(name: str) -> NamedTensors:
            made = buffer(name)
            return {_REACHED: group.of(made.flat), _UNUSED: group.of(made.unused)}

        def named(name: str) -> NamedTensors:
            return self.layout.tensors(group.of(buffer(name).flat))

        def of_table(name: str) -> NamedTensors:
            return {table: group.of(buffer(name).unused) for table in self._table()}

        if effect.elementwise:
            both = {_REACHED: group.of(weights), _UNUSED: factor}
            effect.after_update(step, both, whole)
        else:
            effect.after_update(step, self.layout.tensors(group.of(weights)), named)
            for table in self._table():
                effect.after_update(step, {table: factor}, of_table)
        _write(factor, unused, group)

    def _buffer(self, name: str, weights: torch.Tensor) -> RunBuffer:
        if name not in self.buffers:
            runs = len(self.run_options)
            unused = torch.ones(runs, dtype=torch.float64)
            self.buffers[name] = RunBuffer(torch.zeros_like(weights), unused, [False] * runs)
        return self.buffers[name]

    def _start(self, group: _Group, initial_weights: InitialWeights | None) -> NamedTensors:
        if not self._effects(group.options).need_start:
            return {}
        assert initial_weights is not None  # given if an effect needs it
        if isinstance(group.select, int):
            return {name: initial_weights.of(name, group.select) for name in self.layout.pieces}
        return initial_weights.stacked()

    def _table(self) -> list[str]:
        """Return the first trained embedding table, which stands for all of them; empty without one."""
        return list(self.layout.rows)[:1]

    def _effects(self, options: RunOptions) -> StepEffects:
        return options.parameter_plan.steps


def _factor(unused: Sequence[float], group: _Group) -> torch.Tensor:
    values = torch.tensor([unused[run] for run in group.runs], dtype=torch.float64)
    return group.of(values) if isinstance(group.select, slice) else values[0]


def _write(factor: torch.Tensor, unused: list[float], group: _Group) -> None:
    for run, value in zip(group.runs, factor.reshape(-1).tolist(), strict=True):
        unused[run] = value
