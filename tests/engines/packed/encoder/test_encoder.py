"""The stacked encoder against transformers' own models: logits and gradients."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
)

from seedlab.engines.packed.encoder.architecture import describe
from seedlab.errors import SeedlabError
from seedlab.models.keyed_dropout import install
from seedlab.models.pretrained import Weights, load_weights
from tests.suites.stacked_case import Case
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, tiny_weights


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


def test_three_classes_and_unusual_widths(tmp_path: Path) -> None:
    """Widths that are not multiples of the alignment; query, key and value must stay adjacent."""
    config = small(hidden_size=18, num_attention_heads=3, intermediate_size=21)
    case = Case(loaded(BertModel(config), tmp_path), [0, 1])
    case.weights.model.eval()
    case.check({}, 1e-10)


def test_vmap_over_the_model_of_transformers_agrees(tmp_path: Path) -> None:
    """Stacking by `torch.func.vmap` over the model's parameters gives the same, in float64."""
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
