"""Checkpoint folders and loaded weights: errors, new parameters, and reproducible starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    BertForTokenClassification,
    Gemma2Config,
    LlamaConfig,
    PretrainedConfig,
)

from seedlab.errors import SeedlabError
from seedlab.models.checkpoint_folder import locate, max_positions, weights_hash
from seedlab.models.pretrained import Weights, accepts_types, load_weights
from seedlab.randomness.streams import normal
from tests.suites.reference import HEADS
from tests.suites.tiny import ARCHITECTURES, MAX_LENGTH, tiny_checkpoint, tiny_weights


def load(folder: Path, n_labels: int = 2) -> Weights:
    return load_weights(folder, n_labels=n_labels, pad_id=1, max_length=MAX_LENGTH)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_alone_is_new_and_comes_from_the_init_stream(
    architecture: str, tmp_path: Path
) -> None:
    weights = tiny_weights(tmp_path, architecture)
    heads = HEADS[architecture]
    assert {n for n in weights.new if n.endswith("weight") and ".pooler." not in n} == set(heads)
    model = weights.start(7)
    parameters = dict(model.named_parameters())
    for name in heads:
        drawn = normal(7, name, tuple(parameters[name].shape)) * 0.02
        assert np.array_equal(parameters[name].detach().numpy(), drawn.astype(np.float32))
        assert not parameters[name.replace("weight", "bias")].any()
    stored = load_file(tmp_path / architecture / "model.safetensors")
    for name, parameter in model.base_model.named_parameters():
        assert torch.equal(parameter, stored[name])


def test_one_init_seed_gives_one_head_whatever_the_task(tmp_path: Path) -> None:
    """Same seed and shape: identical tensors; only the number of classes changes the shape."""
    tiny_checkpoint(tmp_path / "bert", "bert")
    a, b = load(tmp_path / "bert").start(3), load(tmp_path / "bert").start(3)
    assert torch.equal(a.classifier.weight, b.classifier.weight)
    three = load(tmp_path / "bert", n_labels=3).start(3)
    assert three.classifier.weight.shape == (3, 16)


def test_a_new_start_undoes_training(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    first = {k: v.clone() for k, v in weights.start(1).state_dict().items()}
    with torch.no_grad():
        for parameter in weights.model.parameters():
            parameter.add_(1.0)
    again = weights.start(1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_head_of_a_fine_tuned_checkpoint_is_drawn_again(tmp_path: Path) -> None:
    """A classifier fine-tuned on another task starts from its encoder, not from its head."""
    tiny_checkpoint(tmp_path / "bert", "bert")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tuned = AutoModelForSequenceClassification.from_pretrained(tmp_path / "bert", num_labels=2)
    with torch.no_grad():
        tuned.classifier.weight.fill_(9.0)
        tuned.classifier.bias.fill_(9.0)
    tuned.save_pretrained(tmp_path / "tuned")
    model = load(tmp_path / "tuned").start(3)
    assert torch.equal(model.classifier.weight, load(tmp_path / "bert").start(3).classifier.weight)
    assert not model.classifier.bias.any()


def test_half_precision_weights_become_float32_masters(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "bert", "bert")
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v.half() for k, v in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    assert {p.dtype for p in load(folder).start(0).parameters()} == {torch.float32}


def test_token_types_are_passed_where_they_mean_something(tmp_path: Path) -> None:
    expected = {"bert": True, "electra": True, "roberta": False, "distilbert": False}
    found = {a: accepts_types(tiny_weights(tmp_path, a).model) for a in ARCHITECTURES}
    assert found == expected


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    tiny_weights(tmp_path)
    assert torch.equal(state, torch.get_rng_state())


def test_hash_is_of_the_content(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "a", "bert")
    copy = tiny_checkpoint(tmp_path / "b", "bert")
    cache = tmp_path / "cache"
    assert weights_hash(folder, cache) == weights_hash(copy, cache)
    assert weights_hash(folder, cache) == weights_hash(folder, cache)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-5}))
    assert weights_hash(folder, cache) != weights_hash(copy, cache)


@pytest.mark.parametrize(("architecture", "positions"), [("bert", 20), ("roberta", 18)])
def test_positions(architecture: str, positions: int, tmp_path: Path) -> None:
    """RoBERTa counts positions from the padding index (1 here) + 1."""
    assert max_positions(tiny_checkpoint(tmp_path / "m", architecture)) == positions


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": None}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "xlnet", "max_position_embeddings": None}, None),
    ],
)
def test_positions_of_other_families(
    config: dict[str, object], positions: int | None, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert max_positions(tmp_path) == positions


def test_a_hash_is_computed_even_if_it_can_not_be_cached(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    (tmp_path / "file").write_text("")
    assert weights_hash(folder, tmp_path / "file") == weights_hash(folder, tmp_path / "cache")


def decoder(folder: Path, kind: type[PretrainedConfig], **changes: object) -> Path:
    """Write a small classifier with fewer heads for keys than for queries."""
    config = kind(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=1, head_dim=4,
        num_attention_heads=4, num_key_value_heads=2, pad_token_id=1, bos_token_id=2,
        eos_token_id=3, **changes,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def test_shared_keys_are_attended_to_as_transformers_does(tmp_path: Path) -> None:
    """Grouped queries: the logits are those of transformers' eager attention, bit for bit."""
    folder = decoder(tmp_path / "m", LlamaConfig)
    ours = load(folder).start(0)
    plain = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    plain.load_state_dict(ours.state_dict())
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.equal(ours.eval()(ids).logits, plain.eval()(ids).logits)


def test_a_dropout_of_the_recipe_reaches_attention_as_well(tmp_path: Path) -> None:
    """Llama keeps its probability as a number, not as a module."""
    folder = decoder(tmp_path / "m", LlamaConfig, attention_dropout=0.5)
    ids = torch.tensor([[5, 6, 7, 8]])

    def difference(dropout: float | None) -> float:
        model = load_weights(
            folder, n_labels=2, pad_id=1, max_length=MAX_LENGTH, dropout=dropout
        ).start(0)
        with torch.no_grad():
            return float((model.train()(ids).logits - model.eval()(ids).logits).abs().max())

    assert difference(None) > 0.0
    assert difference(0.0) == 0.0
    assert difference(0.3) not in (0.0, difference(None))


def test_attention_of_another_kind_is_refused(tmp_path: Path) -> None:
    """It used to be computed without its soft cap."""
    folder = decoder(tmp_path / "m", Gemma2Config, attn_logit_softcapping=1.0)
    with pytest.raises(SeedlabError, match=r"Gemma2Attention .* 'softcap'.* plain softmax"):
        load(folder)


def test_a_model_that_wants_more_than_ids_and_a_mask_is_refused(tmp_path: Path) -> None:
    config = BartConfig(
        vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=24,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, num_labels=2,
        max_position_embeddings=20, dropout=0.0, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(SeedlabError, match=r"\(bart\) can't score a plain text"):
        load(tmp_path)


def test_a_missing_folder_is_refused_with_a_similar_name(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "minilm", "bert")
    with pytest.raises(SeedlabError, match=r"is not a folder; .*Did you mean 'minilm'\?"):
        locate("x", str(tmp_path / "minilmm"))


def test_pickled_weights_are_refused_unless_asked_for(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(SeedlabError, match=r"pickle format alone.*model.allow_pickle=true"):
        locate("x", str(folder))
    assert locate("x", str(folder), allow_pickle=True) == folder
    assert load(folder).start(0) is not None


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"has no weights; expected model.safetens"),
    ],
)
def test_incomplete_folders_are_refused(tmp_path: Path, break_it, message: str) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    break_it(folder)
    with pytest.raises(SeedlabError, match=message):
        locate("x", str(folder))


def test_broken_configuration_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    (folder / "config.json").write_text("{")
    with pytest.raises(SeedlabError, match=r"config.json is not valid JSON"):
        max_positions(folder)


@pytest.mark.parametrize("content", ["[" * 100_000, "[1]", "\x80", ""])
def test_a_configuration_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(SeedlabError, match=r"config.json is not valid JSON .*; restore the file"):
        max_positions(folder)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(SeedlabError, match=r"\(SafetensorError: .* Restore damaged files"):
        load(folder)


@pytest.mark.parametrize("beside", [True, False], ids=["tensors of another name", "alone"])
def test_a_hostile_pickle_is_never_run(tmp_path: Path, beside: bool) -> None:
    """Weights under another name make a folder that was not asked to trust its pickle."""
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    weights = folder / "model.safetensors"
    if beside:
        weights.rename(folder / "other.safetensors")
    else:
        weights.unlink()
    pickle = b"cposix\nsystem\n(S'touch " + str(tmp_path / "run").encode() + b"'\ntR."
    (folder / "pytorch_model.bin").write_bytes(pickle)
    locate("x", str(folder), allow_pickle=not beside)
    with pytest.raises(SeedlabError, match=r"could not be loaded as a sequence classifier"):
        load(folder)
    assert not (tmp_path / "run").exists()


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """RoBERTa's configuration over DistilBERT's weights: nothing of the encoder fits."""
    folder = tiny_checkpoint(tmp_path / "m", "distilbert")
    other = tiny_checkpoint(tmp_path / "o", "roberta")
    (folder / "config.json").write_text((other / "config.json").read_text())
    with pytest.raises(SeedlabError, match=r"lacks \d+ tensors of the encoder.*another arch"):
        load(folder)


def test_a_model_without_a_classifier_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "m", "bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "clip_text_model"}))
    with pytest.raises(SeedlabError, match=r"could not be loaded as a sequence classifier"):
        load(folder)


def test_a_token_classifier_starts_from_its_encoder(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1,
                            num_attention_heads=2, intermediate_size=24)  # fmt: skip
        BertForTokenClassification(config).save_pretrained(tmp_path / "m")
    weights = load(tmp_path / "m")
    assert {"classifier.weight", "bert.pooler.dense.weight"} <= set(weights.new)


@pytest.mark.data
def test_real_weights_load(data_folder: Path) -> None:
    folder = locate("minilm", str(data_folder / "models" / "minilm-l6"))
    weights = load_weights(folder, n_labels=2, pad_id=0, max_length=128)
    assert set(weights.new) == {"classifier.weight", "classifier.bias"}
    assert {p.dtype for p in weights.model.parameters()} == {torch.float32}
    assert max_positions(folder) == 512


@pytest.mark.parametrize(
    ("offline", "told"), [(False, "the hub does not answer"), (True, "HF_HUB_OFFLINE is set")]
)
def test_a_model_that_is_neither_on_the_hub_nor_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, offline: bool, told: str
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot_download(*args: Any, **more: Any) -> str:
        raise LocalEntryNotFoundError("nothing there.") from OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(SeedlabError) as caught:
        locate("bert-base-uncased", None)
    message = str(caught.value)
    assert f"model 'bert-base-uncased' could not be fetched from the hub: {told}" in message
    assert ("(no route to host)" in message) is not offline
    assert f"and its cache {huggingface_hub.constants.HF_HUB_CACHE} has no copy." in message
    assert message.endswith("A copy of another machine's cache is used with HF_HUB_OFFLINE=1.")
