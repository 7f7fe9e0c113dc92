"""`SerialModel`: one run in training, with plain autograd on transformers' own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.serial.forward import Forward
from seedlab.models.parameter_groups import parameter_groups
from seedlab.models.pretrained import Weights
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch, collate
from seedlab.training.effects import effects_of
from seedlab.training.optimizers import clip_gradients, make_optimizer
from seedlab.training.pack_model import Floats
from seedlab.training.parameter_plan import plan_parameters, stream_key
from seedlab.training.step_plan import StepPlan


class SerialModel:
    """One model in training: a `seedlab.training.pack_model.PackModel` with a single slot.

    Parameters
    ----------
    run : RunSpec
    task : EncodedTask
    weights : Weights
        Loaded for the recipe (`seedlab.training.effects.model_options_of`).
    plan : StepPlan
    features : dict
        See `seedlab.engines.serial.forward.Forward`.
    """

    def __init__(
        self,
        run: RunSpec,
        task: EncodedTask,
        weights: Weights,
        plan: StepPlan,
        features: dict[int, torch.Tensor],
    ) -> None:
        self.run, self.task, self.weights, self.plan = run, task, weights, plan
        recipe = run.recipe
        self.parameter_plan = plan_parameters(run, plan, weights.model, weights.new)
        self.model = weights.start(run.seeds.init, self.parameter_plan.fresh)
        self.device = self.model.device
        base = self.model.base_model_prefix
        inside = {n for n, _ in self.model.named_parameters() if n.startswith(f"{base}.")}
        fixed = base in self.parameter_plan.without_dropout and inside <= self.parameter_plan.frozen
        self.forward = Forward(run, task, self.model, features, fixed)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in self.parameter_plan.frozen)
        named = dict(self.model.named_parameters())
        self.parameters = {name: p for name, p in named.items() if p.requires_grad}
        self.groups = parameter_groups(self.model, self.parameter_plan.column)
        values = recipe.optimizer
        self.optimizer = make_optimizer(
            [
                {
                    "params": [named[name] for name in group.names],
                    "weight_decay": values.weight_decay if group.decayed else 0.0,
                }
                for group in self.groups
            ],
            learning_rate=values.learning_rate,
            beta1=values.beta1,
            beta2=values.beta2,
            eps=values.eps,
            bias_correction=values.bias_correction,
        )
        self.initial_weights: dict[str, torch.Tensor] = {}
        self.steps = self.parameter_plan.steps
        if self.steps.need_start or run.diagnostics.distances:
            self.initial_weights = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.buffers: dict[str, dict[str, torch.Tensor]] = {}
        weights.dropout.key = stream_key(run, "dropout")
        found = (
            effect.substitute(self.model, self.parameters, partial(stream_key, run))
            for effect in effects_of(recipe)
        )
        self.substitute = next((one for one in found if one is not None), None)

    def update(self, batch: Batch, step: int, by_depth: bool) -> tuple[Floats, Floats]:
        """Make one update; an accumulated batch gives the update of the whole batch."""
        self.begin(step)
        self.optimizer.zero_grad(set_to_none=True)
        rows = len(batch.labels)
        size = -(-rows // self.run.recipe.accumulation)
        total = 0.0
        for start in range(0, rows, size):
            part = batch.part(start, start + size).to(self.device)
            total += float(self.add_gradients(part, start, rows))
        norms = self.apply_gradients(step, by_depth)
        return np.array([total]), norms

    def begin(self, step: int) -> None:
        """Set the model's mode, and the masks of an update."""
        self.weights.dropout.begin(
            step,
            self.run.recipe.dropout_active == "always" or step % self.plan.steps_per_epoch == 0,
        )
        self.model.train()
        for name in self.parameter_plan.without_dropout:
            self.model.get_submodule(name).eval()
        self.masks = {} if self.substitute is None else self.substitute.masks(step)

    def add_gradients(self, part: Batch, start: int, rows: int) -> torch.Tensor:
        """Add the gradients of a part of a batch, and return its share of the loss.

        Without a technique that mixes weights, nothing here waits for the device. With key and step
        in tensors (`DropoutState`) a recording draws new masks whenever it is replayed.

        Parameters
        ----------
        part : Batch
            On the model's device.
        start : int
            Index in the batch of the part's first example.
        rows : int
            Examples of the whole batch.
        """
        self.weights.dropout.row = start
        mixed = {} if self.substitute is None else self.substitute.mixed(self.masks)
        logits = self.forward.logits(part, self.task.splits["train"], mixed)
        loss = self._loss(logits, part.labels, rows)
        torch.autograd.backward(loss)
        return loss.detach()

    def apply_gradients(self, step: int, by_depth: bool) -> Floats:
        """Make the update with the gradients that were added, and return their norms."""
        self._change_gradients(step)
        norms = self._norms_by_depth() if by_depth else None
        clip = self.run.recipe.clip
        norm = clip_gradients(list(self.parameters.values()), clip.mode, clip.norm)
        rates = self.parameter_plan.rates[step].tolist()
        for group, options in zip(self.groups, self.optimizer.param_groups, strict=True):
            options["lr"] = rates[group.column]
        self._before_update(step, rates)
        self.optimizer.step()
        self._after_update(step)
        return np.array([norm]) if norms is None else norms

    def logits(self, split: Split, averaged: bool = False) -> npt.NDArray[np.float32]:
        """Return (1, example, class) logits; mode, weights and streams stay as they were."""
        with self._averaged(averaged):
            return self.forward.split_logits(split)[None]

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the weights, moments and averages of the only run, on the host."""
        kept = {f"weights/{name}": p for name, p in self.parameters.items()}
        for buffer, tensors in self.buffers.items():
            kept |= {f"{buffer}/{name}": tensor for name, tensor in tensors.items()}
        for name, p in self.parameters.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                kept[f"{key}/{name}"] = value
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in kept.items()}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the state of the run to the tensors that `state` returned."""
        with torch.no_grad():
            for name, tensor in tensors.items():
                key, _, parameter_name = name.partition("/")
                p = self.parameters[parameter_name]
                if key == "weights":
                    p.copy_(tensor)
                elif key in self.steps.buffers:
                    buffer = self.buffers.setdefault(key, {})
                    buffer[parameter_name] = tensor.to(self.device, copy=True)
                else:
                    # torch's AdamW counts its steps on the host.
                    device = "cpu" if key == "step" else self.device
                    self.optimizer.state[p][key] = tensor.to(device, copy=True)

    def distances(self) -> Floats:
        """Return the (1, depth) L2 distances of the weights from their initial values."""
        moved = {
            name: p.detach() - self.initial_weights[name] for name, p in self.parameters.items()
        }
        return self._by_depth(moved)

    def representations(self, split: Split, n: int) -> npt.NDArray[np.float32]:
        """Return (1, depth, example, feature) first tokens of the first `n` examples."""
        training, found = self.model.training, []
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, min(n, len(split)), self.run.evaluation.batch_size):
                stop = min(n, len(split), start + self.run.evaluation.batch_size)
                batch = collate(split, np.arange(start, stop), self.task.pad_id).to(self.device)
                found.append(self.forward.first_tokens(batch))
        self.model.train(training)
        return torch.cat(found, 1)[None].float().cpu().numpy()

    def scored_weights(self, slot: int) -> dict[str, torch.Tensor]:
        """Return the averaged weights, or the live ones without an average, on the host."""
        scored = self.buffers.get(self.steps.scored, self.parameters)
        return {name: p.detach().to("cpu", copy=True) for name, p in scored.items()}

    @torch.no_grad()
    def put_back(self, slot: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Make weights that `scored_weights` returned the live and the averaged ones."""
        for tensors in (self.parameters, self.buffers.get(self.steps.scored, {})):
            for name, tensor in tensors.items():
                tensor.copy_(weights[name])

    def settle(self) -> None:
        """Leave the weights that were scored last in the model: the averaged ones, if any."""
        for name, tensor in self.buffers.get(self.steps.scored, {}).items():
            self.parameters[name].data.copy_(tensor)

    def drop(self, slots: list[int]) -> None:
        """Do nothing: with its only run gone, the loop ends."""

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, rows: int) -> torch.Tensor:
        """Return a part's share of the batch's loss: cross-entropy, or squared error."""
        if not self.task.is_regression:
            losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            return losses.sum() / rows
        mean = (logits[:, 0] - labels.to(logits.dtype)).square().sum() / rows
        return mean.sqrt() if self.run.recipe.loss == "rmse" else mean

    @torch.no_grad()
    def _change_gradients(self, step: int) -> None:
        if not self.steps.on_gradients:
            return
        gradients = {n: p.grad for n, p in self.parameters.items() if p.grad is not None}
        for effect in self.steps.on_gradients:
            effect.change_gradients(step, gradients)

    @torch.no_grad()
    def _before_update(self, step: int, rates: Sequence[float]) -> None:
        def rate(name: str) -> float:
            return rates[self.parameter_plan.column(name)]

        for effect in self.steps.before:
            effect.before_update(step, self.parameters, self.initial_weights, rate)

    @torch.no_grad()
    def _after_update(self, step: int) -> None:
        for effect in self.steps.after:
            effect.after_update(step, self.parameters, self._buffer)

    def _buffer(self, name: str) -> dict[str, torch.Tensor]:
        """Return a technique's buffer; the first time it is a copy of the weights."""
        if name not in self.buffers:
            self.buffers[name] = {n: p.detach().clone() for n, p in self.parameters.items()}
        return self.buffers[name]

    @contextmanager
    def _averaged(self, averaged: bool) -> Iterator[None]:
        """Replace the live weights by the averaged ones inside the context."""
        scored = self.buffers[self.steps.scored] if averaged else {}
        live = {name: self.parameters[name].data for name in scored}
        for name, tensor in scored.items():
            self.parameters[name].data = tensor
        try:
            yield
        finally:
            for name, tensor in live.items():
                self.parameters[name].data = tensor

    def _norms_by_depth(self) -> Floats:
        """Return the (1, depth) L2 norms of the gradients."""
        return self._by_depth(
            {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        )

    def _by_depth(self, tensors: Mapping[str, torch.Tensor]) -> Floats:
        squares = np.zeros((1, self.parameter_plan.n_depths))
        for name, tensor in tensors.items():
            squares[0, self.parameter_plan.depths[name]] += float(tensor.double().square().sum())
        return np.sqrt(squares)
