"""The stacked encoder against transformers' own models: logits, gradients, masks."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from seedlab.errors import SeedlabError
from seedlab.models.dropout import DropoutState, install, scaled_mask, site_number
from seedlab.models.family import describe
from seedlab.models.flat import make_layout
from seedlab.models.ragged import Ragged, make_tables
from seedlab.models.ragged_dropout import Site, draw_mask, sites_of, stack_masks
from seedlab.models.stacked import StackedEncoder
from seedlab.models.stacked_ops import Workspace
from seedlab.models.stacked_pass import Pass
from seedlab.models.weights import Weights, accepts_types, load_weights
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, tiny_weights

KEY = (123, 456)


class Case:
    """A padded batch, a model, and the same as a stack of runs."""

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
        family = describe(weights.model)
        vocabulary = len(weights.model.get_parameter(family.words))
        used = torch.unique(self.ids[self.mask == 1])
        tables, words, positions = make_tables(
            used, vocabulary, 12, family.padding, family.positions_count_tokens
        )
        self.layout = make_layout(
            weights.model, family, {family.words: words, family.positions: positions}
        )
        self.encoder = StackedEncoder(family, tables)
        types = torch.zeros_like(self.ids) if self.types is None else self.types
        self.batch: Ragged = tables.ragged(self.ids, types, self.mask)
        dtype = weights.model.dtype
        self.flat = torch.zeros(len(seeds), self.layout.size, dtype=dtype)
        for row, seed in zip(self.flat, seeds, strict=True):
            self.layout.fill(row, weights.start(seed))
        self.grads = torch.full_like(self.flat, float("nan"))
        self.work = Workspace(torch.device("cpu"), dtype, dtype)

    def at(self, masks: dict[str, torch.Tensor] | None = None) -> Pass:
        one = len(self.seeds) == 1
        p = self.layout.views(self.flat[0] if one else self.flat)
        g = self.layout.views(self.grads[0] if one else self.grads)
        return Pass(p, self.batch, masks or {}, self.work, g, runs=len(self.seeds))

    def masks(self, step: int) -> dict[str, torch.Tensor]:
        family = self.encoder.family
        model = self.weights.model
        hidden = model.get_parameter(f"{family.dense}.weight").shape[1]
        widths = dict.fromkeys(family.dropout, hidden)
        widths[family.embedding_site] = model.get_parameter(family.words).shape[1]
        for layer in family.layers:
            del widths[layer.attention_site]
        drawn = {
            site.name: draw_mask(site, self.batch, KEY, step, MAX_LENGTH, model.dtype)
            for site in sites_of(family, widths)
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


@pytest.mark.parametrize("seeds", [[3], [3, 4, 5]], ids=["one run", "three runs"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_gradients_are_those_of_transformers(
    architecture: str, seeds: list[int], tmp_path: Path
) -> None:
    """Without dropout, float64: only the order of sums differs."""
    case = Case(tiny_weights(tmp_path, architecture, dtype=torch.float64), seeds)
    case.weights.model.eval()
    case.check({}, 1e-10)


@pytest.mark.parametrize("seeds", [[3], [3, 4, 5]], ids=["one run", "three runs"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_falls_on_the_same_elements(
    architecture: str, seeds: list[int], tmp_path: Path
) -> None:
    """With keyed dropout in the model of transformers, float64; step 7."""
    case = Case(tiny_weights(tmp_path, architecture, dtype=torch.float64), seeds)
    state = case.weights.dropout
    state.key, state.step = KEY, 7
    case.weights.model.train()
    masks = case.masks(7)
    assert len(masks) == {"distilbert": 6}.get(architecture, 8)
    case.check(masks, 1e-10)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float32_logits_agree_to_rounding(architecture: str, tmp_path: Path) -> None:
    """A few dozen roundings of 6e-8 on logits of order 1: 1e-5 leaves room."""
    case = Case(tiny_weights(tmp_path, architecture), [1, 2])
    with torch.inference_mode():
        logits = case.encoder.forward(case.at())
    case.weights.model.eval()
    for run, seed in enumerate(case.seeds):
        torch.testing.assert_close(logits[run], case.reference(seed)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu_new", "gelu_pytorch_tanh"])
def test_other_activations(activation: str, tmp_path: Path) -> None:
    config = small(hidden_act=activation)
    case = Case(loaded(BertModel(config), tmp_path), [0, 1])
    case.weights.model.eval()
    case.check({}, 1e-10)


def test_xlm_roberta_is_a_roberta(tmp_path: Path) -> None:
    config = XLMRobertaConfig(**{**small(pad_token_id=1).to_dict(), "type_vocab_size": 1})
    case = Case(loaded(XLMRobertaModel(config), tmp_path), [0])
    case.weights.model.eval()
    case.check({}, 1e-10)


def test_three_classes_and_unusual_widths(tmp_path: Path) -> None:
    """Widths that are no multiple of the alignment: query, key and value must still adjoin."""
    config = small(hidden_size=18, num_attention_heads=3, intermediate_size=21)
    case = Case(loaded(BertModel(config), tmp_path), [0, 1])
    case.weights.model.eval()
    case.check({}, 1e-10)


def test_vmap_over_the_model_of_transformers_agrees(tmp_path: Path) -> None:
    """Another way to stack runs: `torch.func.vmap` over the model's parameters, float64."""
    case = Case(tiny_weights(tmp_path, "bert", dtype=torch.float64), [5, 6, 7])
    config = AutoConfig.from_pretrained(tmp_path / "bert", num_labels=2)
    with torch.random.fork_rng():
        plain = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    plain.double().eval()
    stacked = {
        name: torch.stack(tensors)
        for name, *tensors in zip(
            dict(plain.named_parameters()),
            *(
                [p.detach().clone() for p in case.weights.start(seed).parameters()]
                for seed in case.seeds
            ),
            strict=True,
        )
    }
    bias = torch.zeros(case.mask.shape, dtype=torch.float64)
    bias[case.mask == 0] = torch.finfo(torch.float64).min

    def run(parameters: dict[str, torch.Tensor]) -> Any:
        inputs = {"attention_mask": bias[:, None, None, :], "token_type_ids": case.types}
        return torch.func.functional_call(plain, parameters, (case.ids,), inputs).logits

    with torch.no_grad():
        expected = torch.func.vmap(run)(stacked)
        found = case.encoder.forward(case.at())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_padding_does_not_matter(tmp_path: Path) -> None:
    """A row's logits are the same to rounding when a longer row joins the batch."""
    case = Case(tiny_weights(tmp_path, "roberta", dtype=torch.float64), [0, 1])
    with torch.no_grad():
        together = case.encoder.forward(case.at()).clone()
        alone = case.encoder.tables.ragged(
            case.ids[:1, :5], torch.zeros(1, 5, dtype=torch.long), case.mask[:1, :5]
        )
        logits = case.encoder.forward(dataclasses.replace(case.at(), batch=alone))
    torch.testing.assert_close(logits[:, 0], together[:, 0], rtol=1e-12, atol=1e-12)


def test_ragged_masks_are_those_of_padded_dropout(tmp_path: Path) -> None:
    """Token by token, for every kind of site, also in a batch's later part; bit for bit."""
    case = Case(tiny_weights(tmp_path), [0])
    types = torch.zeros_like(case.ids)
    batch = case.encoder.tables.ragged(case.ids, types, case.mask, first_row=9)
    state = DropoutState(MAX_LENGTH, KEY, step=4, row=9)
    n, real = site_number("a.site"), case.mask.bool()
    for kind, size, shape in (
        ("tokens", 7, (5, 12, 7)),
        ("first", 7, (5, 7)),
        ("attention", 3, (5, 3, 12, 12)),
        ("first_attention", 3, (5, 3, 12, 12)),
    ):
        full = scaled_mask(shape, 0.3, n, state)
        expected = {"tokens": lambda m: m[real], "first_attention": lambda m: m[:, :, :1]}
        mask = draw_mask(Site("a.site", 0.3, kind, size), batch, KEY, 4, MAX_LENGTH, torch.float32)
        assert torch.equal(mask, expected.get(kind, lambda m: m)(full))


def test_masks_drawn_on_a_device_are_those_drawn_here(tmp_path: Path) -> None:
    """The torch path, which a GPU takes, run on the CPU: the same bits."""
    from seedlab.models import ragged_dropout

    batch = Case(tiny_weights(tmp_path), [0]).batch
    arguments = (batch.places * 4, batch.rows, 4, 77, 3, KEY, int(0.1 * 2**32), 1.25)
    here, there = ragged_dropout._draw_here, ragged_dropout._draw_there
    assert torch.equal(here(*arguments), there(*arguments))


def test_a_model_is_filled_in_and_put_back(tmp_path: Path) -> None:
    """Rows of embeddings that the task can't reach are those before training, decayed."""
    case = Case(tiny_weights(tmp_path), [2])
    before = {name: p.clone() for name, p in case.weights.model.named_parameters()}
    case.layout.restore(case.flat[0] * 2.0, case.weights.model, decay=0.5)
    for name, p in case.weights.model.named_parameters():
        rows = case.layout.rows.get(name)
        expected = before[name] * 2.0
        if rows is not None:
            expected = before[name] * 0.5
            expected[rows] = before[name][rows] * 2.0
        assert torch.equal(p, expected), name


def test_every_parameter_has_a_place_of_its_own(tmp_path: Path) -> None:
    """No two pieces overlap, decayed ones come first, and gaps stay zero."""
    layout = Case(tiny_weights(tmp_path, "electra"), [0]).layout
    pieces = sorted(layout.pieces.values(), key=lambda piece: piece.start)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(pieces))
    assert pieces[-1].stop <= layout.size
    for name, piece in layout.pieces.items():
        exempt = name.endswith("bias") or "LayerNorm" in name
        assert (piece.start >= layout.decayed) == exempt, name


def test_unknown_architectures_are_refused(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        model = AlbertForSequenceClassification(
            AlbertConfig(
                vocab_size=20, embedding_size=4, hidden_size=8, num_attention_heads=2,
                intermediate_size=8, num_hidden_layers=1, pad_token_id=0,
            )
        )  # fmt: skip
    install(model, MAX_LENGTH)
    with pytest.raises(SeedlabError, match=r"can't stack a AlbertFor.*knows BERT.*engine=serial"):
        describe(model)
    weights = tiny_weights(tmp_path)
    weights.model.config.hidden_act = "silu"
    with pytest.raises(SeedlabError, match=r"activation 'silu'; it knows gelu.*engine=serial"):
        describe(weights.model)


def small(**changes: Any) -> BertConfig:
    """Return a configuration of a few thousand parameters."""
    values: dict[str, Any] = {
        "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 20, "pad_token_id": 1,
    }  # fmt: skip
    return BertConfig(**{**values, **changes})


def loaded(model: Any, folder: Path) -> Weights:
    """Return a model written and loaded as a classifier, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in model.parameters():
            parameter.data.normal_(0.0, 0.05)
    model.save_pretrained(folder)
    return load_weights(folder, n_labels=2, pad_id=1, max_length=MAX_LENGTH, dtype=torch.float64)
