"""An independent fine-tuning loop in plain torch and transformers: the engines' oracle.

It shares no code with seedlab's models, engines or loop. From seedlab it takes
only inputs that the contract fixes: the order of examples and the new tensors of an init seed.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from seedlab.randomness.streams import normal, permutation
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split

HEADS = {
    "bert": ["classifier.weight"],
    "roberta": ["classifier.dense.weight", "classifier.out_proj.weight"],
    "electra": ["classifier.dense.weight", "classifier.out_proj.weight"],
    "distilbert": ["pre_classifier.weight", "classifier.weight"],
}


def reference_run(
    folder: Path, run: RunSpec, task: EncodedTask, dtype: torch.dtype = torch.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses of every step and the final logits of the dev split, dropout off."""
    config = AutoConfig.from_pretrained(folder, num_labels=task.n_labels)
    for name in vars(copy.deepcopy(config)):
        if "dropout" in name:
            setattr(config, name, 0.0)
    with torch.random.fork_rng():
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, dtype=dtype, attn_implementation="eager"
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in HEADS[config.model_type]:
                drawn = torch.tensor(normal(run.seeds.init, name, tuple(parameter.shape)) * 0.02)
                parameter.copy_(drawn)
            elif name.replace("bias", "weight") in HEADS[config.model_type]:
                parameter.zero_()
    step, losses = 0, []
    state = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()}
    recipe, train = run.recipe, task.splits["train"]
    per_epoch = -(-len(train) // recipe.batch_size)
    total = per_epoch * recipe.epochs
    warmup = int(recipe.schedule.warmup_ratio * total)
    model.train()
    for epoch in range(recipe.epochs):
        order = permutation(run.seeds.order, epoch, len(train))
        for start in range(0, len(train), recipe.batch_size):
            chosen = order[start : start + recipe.batch_size]
            logits = forward(model, train, chosen, task.pad_id)
            labels = torch.tensor(train.labels[chosen])
            if task.n_labels == 1:
                loss = torch.nn.functional.mse_loss(logits[:, 0], labels.to(dtype))
            else:
                loss = torch.nn.functional.cross_entropy(logits, labels)
            model.zero_grad()
            loss.backward()
            losses.append(loss.item())
            clip(model, recipe.clip.mode, recipe.clip.norm)
            rate = step / warmup if step < warmup else (total - step) / (total - warmup)
            adam(model, state, step + 1, rate * recipe.optimizer.learning_rate, run)
            step += 1
    model.eval()
    with torch.no_grad():
        dev = task.splits["dev"]
        logits = forward(model, dev, np.arange(len(dev)), task.pad_id)
    return np.array(losses), logits.numpy()


def forward(model: torch.nn.Module, split: Split, chosen: np.ndarray, pad: int) -> torch.Tensor:
    """Return logits, padding with plain lists."""
    rows = [split.ids[split.offsets[i] : split.offsets[i + 1]].tolist() for i in chosen]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return model(input_ids=ids, attention_mask=mask).logits


def clip(model: torch.nn.Module, mode: str, limit: float) -> None:
    """Clip with torch's own function, over all or one by one."""
    if mode == "global":
        torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    elif mode == "tensor":
        for parameter in model.parameters():
            torch.nn.utils.clip_grad_norm_([parameter], limit)


def adam(
    model: torch.nn.Module,
    state: dict[torch.nn.Parameter, tuple[torch.Tensor, torch.Tensor]],
    t: int,
    rate: float,
    run: RunSpec,
) -> None:
    """Make one AdamW update written out from the papers."""
    values = run.recipe.optimizer
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.grad is None:
                continue
            m, v = state[p]
            m.mul_(values.beta1).add_((1 - values.beta1) * p.grad)
            v.mul_(values.beta2).add_((1 - values.beta2) * p.grad**2)
            a, b = m, v
            if values.bias_correction:
                a, b = m / (1 - values.beta1**t), v / (1 - values.beta2**t)
            free = name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name
            decay = 0.0 if free else values.weight_decay
            p.sub_(rate * (a / (b.sqrt() + values.eps) + decay * p))
