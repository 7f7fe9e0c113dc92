"""The plain loop of `reference`, with techniques written out from their papers, for a small BERT.

It does not use seedlab's engines and techniques: layers are found by parsing names, weights are
changed by replacing the forward of linear maps, rates and averages are written out. From
seedlab it takes only inputs that the contract fixes: draws of the init and mixout streams, and
the order of the examples.
"""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from types import MethodType

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from seedlab.models.keyed_dropout import site_number
from seedlab.randomness.streams import normal, permutation, philox_key
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.techniques.mixout import keep_mask
from tests.suites.reference import adam, clip, forward

DTYPE = torch.float64


def layer_of(name: str) -> int | None:
    """Return the number of a parameter's layer from 0; None outside the layers."""
    found = re.search(r"encoder\.layer\.(\d+)\.", name)
    return int(found[1]) if found else None


def is_head(name: str) -> bool:
    """Whether a parameter is the pooler's or the classifier's."""
    return name.startswith(("classifier.", "bert.pooler."))


def peak(name: str, run: RunSpec, n: int) -> float:
    """Return a parameter's peak rate, written out from the papers (n layers)."""
    rates, top = run.recipe.layer_rates, run.recipe.optimizer.learning_rate
    e, layer = rates.decay, layer_of(name)
    if rates.scheme == "none":
        return top
    if is_head(name):
        own = rates.head_learning_rate
        return top if rates.scheme in ("zhang", "sun") or own is None else own
    if rates.scheme == "zhang":
        return top * e ** (n + 1) if layer is None else top * e ** (n - layer)
    if rates.scheme == "chang":
        return top * e**n if layer is None else top * e ** (n - 1 - layer)
    assert rates.scheme == "sun"
    return top if layer is None else top * e ** (n - 1 - layer)


def load(folder: Path, run: RunSpec, task: EncodedTask) -> torch.nn.Module:
    """Return the model before its first update, dropout off."""
    config = AutoConfig.from_pretrained(folder, num_labels=task.n_labels)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    with torch.random.fork_rng():
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, dtype=DTYPE, attn_implementation="eager"
        )
    fresh = run.recipe.reinit.layers
    first = None if fresh is None else config.num_hidden_layers - fresh
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            layer = layer_of(name)
            redrawn = first is not None and (
                is_head(name) or (layer is not None and layer >= first)
            )
            if not redrawn and not name.startswith("classifier."):
                continue
            if name.endswith("LayerNorm.weight"):
                parameter.fill_(1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                drawn = normal(run.seeds.init, name, tuple(parameter.shape)) * 0.02
                parameter.copy_(torch.tensor(drawn))
    return model


def add_mixout(model: torch.nn.Module, run: RunSpec, now: dict[str, int]) -> None:
    """Let every linear map compute with its mixed weight while the model is in training."""
    p = run.recipe.mixout.p
    seed = run.seeds.resolved().mixout
    assert seed is not None
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        start, site = module.weight.detach().clone(), site_number(name)

        def mixed(
            self: torch.nn.Linear,
            x: torch.Tensor,
            start: torch.Tensor = start,
            site: int = site,
        ) -> torch.Tensor:
            w = self.weight
            if self.training:
                shape = (w.shape[0], w.shape[1])
                keep = keep_mask(
                    shape, p, run.recipe.mixout.granularity, site, philox_key("mixout", seed),
                    now["step"],
                )  # fmt: skip
                m = keep.to(w.dtype)
                w = ((1 - m) * start + m * w - p * start) / (1 - p)
            return x @ w.T + self.bias

        module.forward = MethodType(mixed, module)


def add_low_rank(model: torch.nn.Module, run: RunSpec) -> None:
    """Let the query and value maps compute with W + alpha / r B A, formed as a full matrix."""
    rank, scale = run.recipe.adapter.rank, run.recipe.adapter.alpha / run.recipe.adapter.rank
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter_name.startswith("classifier."))
    for name, module in list(model.named_modules()):
        if not name.endswith((".query", ".value")):
            continue
        n_out, n_in = module.weight.shape
        a = normal(run.seeds.init, f"{name}.lora_A.weight", (rank, n_in)) / rank
        module.low_rank_a = torch.nn.Parameter(torch.tensor(a))
        module.low_rank_b = torch.nn.Parameter(torch.zeros(n_out, rank, dtype=DTYPE))

        def updated(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            w = self.weight + scale * (self.low_rank_b @ self.low_rank_a)
            return x @ w.T + self.bias

        module.forward = MethodType(updated, module)


def reference_run_with_techniques(
    folder: Path, run: RunSpec, task: EncodedTask
) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses of every step and the final logits of the dev split, in float64."""
    model = load(folder, run, task)
    recipe, train = run.recipe, task.splits["train"]
    n = model.config.num_hidden_layers
    now = {"step": 0}
    if recipe.mixout.p:
        add_mixout(model, run, now)
    if recipe.adapter.method == "lora":
        add_low_rank(model, run)
    if recipe.freeze.layers is not None:
        for name, p in model.named_parameters():
            layer = layer_of(name)
            below = not is_head(name) if layer is None else layer < recipe.freeze.layers
            p.requires_grad_(not below)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in named.items()}
    per_epoch = -(-len(train) // recipe.batch_size)
    total = per_epoch * recipe.epochs
    warmup = int(recipe.schedule.warmup_ratio * total)
    averaging = recipe.averaging
    first = total
    if averaging.start_epoch is not None:
        first = math.ceil(averaging.start_epoch * per_epoch)
    snapshots: list[dict[str, torch.Tensor]] = []
    state = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()}

    def linear(step: int) -> float:
        return step / warmup if step < warmup else (total - step) / (total - warmup)

    losses = []
    for step in range(total):
        now["step"] = step
        order = permutation(run.seeds.order, step // per_epoch, len(train))
        at = (step % per_epoch) * recipe.batch_size
        chosen = order[at : at + recipe.batch_size]
        model.train()
        logits = forward(model, train, chosen, task.pad_id)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(train.labels[chosen]))
        model.zero_grad()
        loss.backward()
        losses.append(loss.item())
        clip(model, recipe.clip.mode, recipe.clip.norm)
        for name, p in named.items():
            rate = peak(name, run, n) * linear(min(step, first))
            if step >= first:
                own = peak(name, run, n) / recipe.optimizer.learning_rate
                target = averaging.learning_rate * (own if averaging.per_group else 1.0)
                share = min(1.0, (step - first) / averaging.anneal_steps)
                rate = target + (rate - target) * (1 + math.cos(math.pi * share)) / 2
            decayed = not name.endswith("bias") and "LayerNorm" not in name
            anchored = recipe.prior_decay.anchor_head or not is_head(name)
            if recipe.prior_decay.strength and decayed and anchored:
                with torch.no_grad():
                    p -= rate * recipe.prior_decay.strength * (p - start[name])
            adam(_Single(name, p), state, step + 1, rate, run)
        if step >= first:
            snapshots.append({name: p.detach().clone() for name, p in named.items()})
    if snapshots:
        with torch.no_grad():
            for name, p in named.items():
                p.copy_(torch.stack([snapshot[name] for snapshot in snapshots]).mean(0))
    model.eval()
    dev = task.splits["dev"]
    with torch.no_grad():
        logits = forward(model, dev, np.arange(len(dev)), task.pad_id)
    return np.array(losses), logits.numpy()


@dataclasses.dataclass
class _Single:
    """One parameter under its own name, as `adam` takes a model."""

    name: str
    parameter: torch.nn.Parameter

    def named_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(self.name, self.parameter)]
