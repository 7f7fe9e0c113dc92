"""A padded batch, a transformers model, and the same model as a stack of runs."""

from __future__ import annotations

import numpy as np
import torch

from seedlab.engines.packed.encoder.architecture import describe
from seedlab.engines.packed.encoder.context import ForwardContext
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.flat_layout import make_layout
from seedlab.engines.packed.encoder.ops import Workspace
from seedlab.engines.packed.encoder.ragged_batch import Ragged, make_tables
from seedlab.engines.packed.encoder.ragged_dropout import draw_mask, sites_of, stack_masks
from seedlab.models.pretrained import Weights, accepts_types
from tests.suites.tiny import MAX_LENGTH

KEY = (123, 456)


class Case:
    """A padded batch, a model, and the same model as a stack of runs."""

    def __init__(self, weights: Weights, seeds: list[int], pad: int = 1) -> None:
        self.weights, self.seeds = weights, seeds
        lengths = torch.tensor([5, 12, 7, 12, 4])
        places = torch.arange(12)
        self.mask = (places < lengths[:, None]).long()
        generator = np.random.Generator(np.random.Philox(3))
        self.ids = torch.from_numpy(generator.integers(5, 12, (5, 12)))
        self.ids[1, 3] = pad  # a padding token in the text itself
        self.ids[self.mask == 0] = pad
        self.types = (places >= 3).long() * self.mask if accepts_types(weights.model) else None
        self.labels = torch.tensor([0, 1, 1, 0, 1])
        architecture = describe(weights.model)
        vocabulary = len(weights.model.get_parameter(architecture.words))
        used = torch.unique(self.ids[self.mask == 1])
        tables, words, positions = make_tables(
            used, vocabulary, 12, architecture.padding, architecture.positions_count_tokens
        )
        self.layout = make_layout(
            weights.model,
            architecture,
            {architecture.words: words, architecture.positions: positions},
        )
        self.encoder = StackedEncoder(architecture, tables)
        types = torch.zeros_like(self.ids) if self.types is None else self.types
        self.batch: Ragged = tables.ragged(self.ids, types, self.mask)
        dtype = weights.model.dtype
        self.flat = torch.zeros(len(seeds), self.layout.size, dtype=dtype)
        for row, seed in zip(self.flat, seeds, strict=True):
            self.layout.fill(row, weights.start(seed))
        self.grads = torch.full_like(self.flat, float("nan"))
        self.work = Workspace(torch.device("cpu"), dtype, dtype)

    def at(self, masks: dict[str, torch.Tensor] | None = None) -> ForwardContext:
        one = len(self.seeds) == 1
        p = self.layout.views(self.flat[0] if one else self.flat)
        g = self.layout.views(self.grads[0] if one else self.grads)
        return ForwardContext(p, self.batch, masks or {}, self.work, g, runs=len(self.seeds))

    def masks(self, step: int) -> dict[str, torch.Tensor]:
        architecture = self.encoder.architecture
        model = self.weights.model
        hidden = model.get_parameter(f"{architecture.dense}.weight").shape[1]
        widths = dict.fromkeys(architecture.dropout, hidden)
        widths[architecture.embedding_site] = model.get_parameter(architecture.words).shape[1]
        for layer in architecture.layers:
            del widths[layer.attention_site]
        drawn = {
            site.name: draw_mask(site, self.batch, KEY, step, MAX_LENGTH, model.dtype)
            for site in sites_of(architecture, widths)
        }
        return stack_masks([drawn] * len(self.seeds))

    def reference(self, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits and gradients of the sum of losses, by transformers and autograd."""
        model = self.weights.start(seed)
        inputs = {"input_ids": self.ids, "attention_mask": self.mask}
        if self.types is not None:
            inputs["token_type_ids"] = self.types
        logits = model(**inputs).logits
        torch.nn.functional.cross_entropy(logits, self.labels, reduction="sum").backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        return logits.detach().clone(), {name: grad.clone() for name, grad in grads.items()}

    def check(self, masks: dict[str, torch.Tensor], tolerance: float) -> None:
        """Compare every run's logits and gradients with the reference."""
        at = self.at(masks)
        with torch.no_grad():
            logits = self.encoder.forward(at).clone()
            one_hot = torch.nn.functional.one_hot(self.labels, 2)
            self.encoder.backward(at, logits.softmax(-1) - one_hot)
        logits = logits.view(len(self.seeds), 5, 2)
        for run, seed in enumerate(self.seeds):
            expected, grads = self.reference(seed)
            torch.testing.assert_close(logits[run], expected, rtol=tolerance, atol=tolerance)
            found = self.layout.views(self.grads[run])
            for name, grad in grads.items():
                kept = grad[self.layout.rows[name]] if name in self.layout.rows else grad
                torch.testing.assert_close(found[name], kept, rtol=tolerance, atol=tolerance)
