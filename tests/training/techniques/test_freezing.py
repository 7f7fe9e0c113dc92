"""What is not trained: frozen layers, all but biases, and encoders that give features alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from seedlab.engines.serial.engine import SerialEngine
from seedlab.errors import SeedlabError
from seedlab.models.depth import depths, lowest_modules
from seedlab.models.heads import Head
from seedlab.models.keyed_dropout import KeyedDropout
from seedlab.spec.recipe import AdapterSpec, FeaturesSpec, FreezeSpec, HeadSpec
from seedlab.spec.run import Seeds
from tests.suites.plain_training import (
    changed,
    first_batch,
    parameters,
    run_with,
    trained,
    trainee_of,
    weights_for,
)
from tests.suites.runs import assert_same, callbacks
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, VOCABULARY, tiny_checkpoint, tiny_task

HEADS = ("default", "token0", "concat", "mean", "max", "scalar_mix", "attention")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_layers_are_the_checkpoints_after_training(
    layers: int, architecture: str, tmp_path: Path
) -> None:
    """Bit for bit, with weight decay; all else that can be reached has moved."""
    run = run_with(freeze=FreezeSpec(layers=layers))
    _, weights = trained(run, tmp_path, architecture)
    where = depths(weights.model)
    below = {name for name, depth in where.items() if depth <= layers}
    moved = changed(weights)
    assert not below & moved
    assert {p for p in parameters(weights) - below if p.endswith("weight")} <= moved
    for name, parameter in weights.model.named_parameters():
        assert parameter.requires_grad == (name not in below)
        assert (parameter.grad is None) == (name in below)


def test_frozen_parameters_are_counted_and_in_no_group(tmp_path: Path) -> None:
    """BERT of width 16, 24 wide feed-forwards: a layer has 2,208 parameters."""
    run = run_with(freeze=FreezeSpec(layers=1))
    pack_model = trainee_of(run, weights_for(run, tmp_path))
    width, inner = 16, 24
    layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    pooler, classifier = width * width + width, 2 * width + 2
    assert sum(p.numel() for p in pack_model.parameters.values()) == layer + pooler + classifier
    named = {name for group in pack_model.groups for name in group.names}
    assert named == set(pack_model.parameters)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_of_the_frozen_part_can_be_left_out(architecture: str, tmp_path: Path) -> None:
    """Then the frozen layer's output in training is that of evaluation, bit for bit."""
    batch_ids = torch.tensor([[3, 5, 6, 7, 4]])
    for dropout in (True, False):
        run = run_with(freeze=FreezeSpec(layers=1, dropout=dropout))
        weights = weights_for(run, tmp_path, architecture)
        pack_model = trainee_of(run, weights)
        pack_model.update(first_batch(run), 0, False)
        assert weights.model.training
        with torch.no_grad():
            train = weights.model.base_model(batch_ids, output_hidden_states=True).hidden_states
            weights.model.eval()
            plain = weights.model.base_model(batch_ids, output_hidden_states=True).hidden_states
        assert torch.equal(train[1], plain[1]) == (not dropout)
        assert not torch.equal(train[2], plain[2])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_lowest_modules_hold_the_frozen_parameters(architecture: str, tmp_path: Path) -> None:
    model = weights_for(run_with(), tmp_path, architecture).model
    for layers in (0, 1, 2):
        parts = lowest_modules(model, layers)
        inside = {name for name in depths(model) if name.startswith(tuple(f"{p}." for p in parts))}
        assert inside == {name for name, depth in depths(model).items() if depth <= layers}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bitfit_trains_biases_and_the_head(architecture: str, tmp_path: Path) -> None:
    _, weights = trained(run_with(adapter=AdapterSpec("bitfit")), tmp_path, architecture)
    trainable = {n for n, p in weights.model.named_parameters() if p.requires_grad}
    assert trainable == {
        name for name in parameters(weights) if name.endswith("bias") or name in weights.new
    }
    assert changed(weights) <= trainable


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [("bert", kind) for kind in HEADS] + [(name, "default") for name in ARCHITECTURES[1:]],
)
def test_features_leave_the_encoder_as_it_was(architecture: str, kind: str, tmp_path: Path) -> None:
    """Bit for bit, with weight decay; the head has learned."""
    run = run_with(features=FeaturesSpec(True), head=HeadSpec(kind, layers=2))
    _, weights = trained(run, tmp_path, architecture)
    moved = changed(weights)
    assert moved
    assert moved <= set(weights.new)
    trainable = {n for n, p in weights.model.named_parameters() if p.requires_grad}
    assert trainable == set(weights.new)


@pytest.mark.parametrize("kind", ["token0", "concat", "mean", "max", "scalar_mix"])
def test_kept_features_are_the_live_ones(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole training, with dropout in the head; the padding differs: float64 rounding."""
    run = run_with(features=FeaturesSpec(True), head=HeadSpec(kind, layers=2))
    kept, _ = trained(run, tmp_path)
    monkeypatch.setattr(Head, "reads_first_tokens", False)
    live, _ = trained(run, tmp_path)
    np.testing.assert_allclose(kept.losses, live.losses, rtol=1e-9)
    np.testing.assert_allclose(kept.logits["dev"], live.logits["dev"], rtol=1e-5, atol=1e-7)


def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass over each split for two runs of 4 epochs; a run is the same beside others."""
    runs = [
        run_with(init, features=FeaturesSpec(True), head=HeadSpec("concat", layers=2))
        for init in (0, 1)
    ]
    task, weights = tiny_task(), weights_for(runs[0], tmp_path)
    rows: list[int] = []
    read = type(weights.model).read

    def counted(self: Any, attention_mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        rows.append(len(attention_mask))
        return read(self, attention_mask, **inputs)

    monkeypatch.setattr(type(weights.model), "read", counted)
    together = list(SerialEngine().train(runs, task, weights, callbacks(task)))
    assert sum(rows) == len(task.splits["train"]) + len(task.splits["dev"])
    (alone,) = SerialEngine().train(runs[1:], task, weights, callbacks(task))
    assert_same(together[1], alone)


@pytest.mark.parametrize("kind", ["default", "concat", "attention"])
def test_features_see_no_dropout(kind: str, tmp_path: Path) -> None:
    """The dropout seed reaches the head's own dropout alone."""
    run = run_with(features=FeaturesSpec(True), head=HeadSpec(kind, layers=2))
    other = dataclasses.replace(run, seeds=Seeds(0, 0, dropout=9).resolved())
    losses = []
    for seeded in (run, other):
        weights = weights_for(seeded, tmp_path)
        base = f"{weights.model.base_model_prefix}."
        for name, module in weights.model.named_modules():
            if isinstance(module, KeyedDropout) and not name.startswith(base):
                object.__setattr__(module.site, "p", 0.0)
        task = tiny_task()
        (result,) = SerialEngine().train([seeded], task, weights, callbacks(task))
        losses.append(result.losses)
    np.testing.assert_array_equal(*losses)


def test_a_pooler_that_would_stay_random(tmp_path: Path) -> None:
    """A checkpoint without the pooler that BERT's own head reads; another head needs none."""
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=MAX_LENGTH, pad_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    run = run_with(features=FeaturesSpec(True))
    with pytest.raises(SeedlabError, match=r"no bert.pooler.dense.bias for it.*kind=token0"):
        trainee_of(run, weights_for(run, tmp_path))
    run = run_with(features=FeaturesSpec(True), head=HeadSpec("token0"))
    trainee_of(run, weights_for(run, tmp_path))


def test_more_layers_than_there_are_to_freeze(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "bert", "bert", n_layers=4)
    run = run_with(freeze=FreezeSpec(layers=5))
    with pytest.raises(SeedlabError, match=r"recipe.freeze.layers=5 is more than the 4 layers"):
        trainee_of(run, weights_for(run, tmp_path))
