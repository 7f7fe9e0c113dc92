"""Low-rank updates: target maps, initial values, training, merging."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification

from seedlab.errors import SeedlabError
from seedlab.models.lora import LoraOptions, names, peft_names, target_modules
from seedlab.models.saved import read_model, write_model
from seedlab.randomness.streams import normal
from seedlab.spec.recipe import AdapterSpec, FreezeSpec
from tests.suites.plain_training import changed, parameters, run_with, trained, weights_for
from tests.suites.tiny import ARCHITECTURES, tiny_weights

IDS = torch.tensor([[3, 5, 6, 7, 4]])
LORA = AdapterSpec("lora", rank=3, alpha=6.0)
MAPS = {
    "bert": "bert.encoder.layer.{}.attention.self.{}",
    "roberta": "roberta.encoder.layer.{}.attention.self.{}",
    "electra": "electra.encoder.layer.{}.attention.self.{}",
    "distilbert": "distilbert.transformer.layer.{}.attention.{}",
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_query_and_value_maps_are_found(architecture: str, tmp_path: Path) -> None:
    leaves = ("q_lin", "v_lin") if architecture == "distilbert" else ("query", "value")
    expected = tuple(MAPS[architecture].format(i, leaf) for i in (0, 1) for leaf in leaves)
    assert target_modules(tiny_weights(tmp_path, architecture).model) == expected


def test_an_architecture_without_such_maps() -> None:
    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    with torch.random.fork_rng():
        model = GPT2ForSequenceClassification(config)
    with pytest.raises(
        SeedlabError, match=r"method=lora needs one linear map per layer called query"
    ):
        target_modules(model)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_run_starts_from_the_init_stream_with_the_base_models_logits(
    architecture: str, tmp_path: Path
) -> None:
    """A is keyed by seedlab's name, B is 0, and the global generator plays no part."""
    plain = tiny_weights(tmp_path, architecture, dtype=torch.float64).start(3).eval()
    states = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            weights = tiny_weights(
                tmp_path, architecture, dtype=torch.float64, low_rank=LoraOptions(3, 6.0)
            )
            assert torch.equal(before, torch.get_rng_state())
        model = weights.start(3).eval()
        states.append({name: t.clone() for name, t in model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for module in weights.low_rank_maps:
        a, b = peft_names(module)
        expected = normal(3, f"{module}.lora_A.weight", (3, 16)) / 3
        np.testing.assert_array_equal(states[0][a].numpy(), expected)
        assert not bool(states[0][b].any())
        assert names(module) == (f"{module}.lora_A.weight", f"{module}.lora_B.weight")
    with torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, plain(input_ids=IDS).logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_updates_and_head_are_trained_and_nothing_else(architecture: str, tmp_path: Path) -> None:
    """Bit for bit, with weight decay; a new start restores the initial values."""
    run = run_with(adapter=LORA)
    _, weights = trained(run, tmp_path, architecture)
    updates = {name for module in weights.low_rank_maps for name in peft_names(module)}
    assert changed(weights) == updates | set(weights.new)
    trainable = sum(p.numel() for p in weights.model.parameters() if p.requires_grad)
    new = sum(weights.model.get_parameter(name).numel() for name in weights.new)
    assert trainable == new + 4 * 3 * (16 + 16)
    first = {name: t.clone() for name, t in weights.start(0).state_dict().items()}
    fresh = weights_for(run, tmp_path, architecture).start(0).state_dict()
    assert all(torch.equal(first[name], fresh[name]) for name in fresh)


def test_updates_of_frozen_layers_are_frozen(tmp_path: Path) -> None:
    """Their B stays 0, so they change nothing."""
    _, weights = trained(run_with(adapter=LORA, freeze=FreezeSpec(layers=1)), tmp_path)
    all_of_b = {name for name in parameters(weights) if "lora_B" in name}
    assert all_of_b & changed(weights) == {name for name in all_of_b if "layer.1." in name}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_merged_model_has_no_adapters_and_the_same_logits(
    architecture: str, tmp_path: Path
) -> None:
    """Merging rounds once: float64 logits to 1e-12."""
    _, weights = trained(run_with(adapter=LORA), tmp_path, architecture)
    with torch.no_grad():
        logits = weights.model.eval()(input_ids=IDS).logits
    (tmp_path / "saved").mkdir()
    write_model(weights, tmp_path / "saved", ("no", "yes"))
    plain = read_model(tmp_path / "saved", None)
    assert not any("lora" in name for name, _ in plain.named_parameters())
    assert plain.config.id2label == {0: "no", 1: "yes"}
    assert {p.dtype for p in plain.parameters()} == {torch.float64}
    with torch.no_grad():
        torch.testing.assert_close(plain(input_ids=IDS).logits, logits, rtol=1e-12, atol=1e-12)
    untouched = tiny_weights(tmp_path, architecture, dtype=torch.float64).model
    query = weights.low_rank_maps[0]
    moved = plain.get_parameter(f"{query}.weight") - untouched.get_parameter(f"{query}.weight")
    assert int(torch.linalg.matrix_rank(moved.detach(), tol=1e-8)) == 3


def test_without_peft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        SeedlabError, match=r"needs the package peft, .*pip install 'seedlab\[lora\]'"
    ):
        tiny_weights(tmp_path, low_rank=LoraOptions(2, 4.0))
