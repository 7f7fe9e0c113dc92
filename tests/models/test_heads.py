"""Heads, compared with plain torch on transformers' own encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from seedlab.errors import SeedlabError
from seedlab.models.heads import HeadChoice
from seedlab.models.keyed_dropout import KeyedDropout, scaled_mask, site_number
from seedlab.models.pretrained import Weights
from seedlab.randomness.streams import normal, philox_key
from seedlab.spec.recipe import HeadSpec
from tests.suites.plain_training import first_batch, run_with, trained, trainee_of, weights_for
from tests.suites.tiny import ARCHITECTURES, tiny_checkpoint, tiny_weights

KINDS = ("token0", "concat", "mean", "max", "scalar_mix", "attention", "cnn")
IDS = torch.tensor([[3, 5, 6, 7, 9, 4], [3, 8, 4, 1, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])


def headed(
    folder: Path,
    kind: str,
    architecture: str = "bert",
    *,
    layers: int = 3,
    layer: int = -1,
    **load: Any,
) -> Weights:
    """Return a model of 4 layers in float64 with a head of some kind, started."""
    if not (folder / architecture).exists():
        tiny_checkpoint(folder / architecture, architecture, n_layers=4)
    weights = tiny_weights(
        folder, architecture, dtype=torch.float64, head=HeadChoice(kind, layers, layer), **load
    )
    weights.start(7)
    return weights


def hidden_states(folder: Path, architecture: str = "bert") -> list[torch.Tensor]:
    """Return (row, position, feature) states from transformers, with its own attention."""
    with torch.random.fork_rng():
        encoder = AutoModel.from_pretrained(
            folder / architecture, dtype=torch.float64, attn_implementation="eager"
        ).eval()
    with torch.no_grad():
        out = encoder(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    return list(out.hidden_states)


def by_hand(kind: str, states: list[torch.Tensor], p: dict[str, torch.Tensor]) -> torch.Tensor:
    """Compute logits row by row from the head's tensors, in numpy."""
    rows = []
    for row in range(len(IDS)):
        tops = np.stack([state[row, 0].numpy() for state in states[-3:]])
        if kind == "token0":
            read = states[-1][row, 0].numpy()
        elif kind == "concat":
            read = np.concatenate(list(tops))
        elif kind == "mean":
            read = tops.mean(0)
        elif kind == "max":
            read = tops.max(0)
        elif kind == "scalar_mix":
            shares = np.exp(p["head.scores"].numpy())
            read = (shares / shares.sum()) @ tops
        elif kind == "attention":
            tokens = states[-1][row].numpy()[: int(MASK[row].sum())]
            inner = np.tanh(
                tokens @ p["head.dense.weight"].numpy().T + p["head.dense.bias"].numpy()
            )
            scores = inner @ p["head.score.weight"].numpy()[0] + float(p["head.score.bias"])
            shares = np.exp(scores - scores.max())
            read = (shares / shares.sum()) @ tokens
        else:
            # Three layers and a kernel of three: one position, a matrix per layer.
            kernel = p["head.convolution.weight"].numpy()
            found = sum(kernel[:, :, k] @ tops[k] for k in range(3))
            read = np.maximum(found + p["head.convolution.bias"].numpy(), 0.0)
        rows.append(p["head.out.weight"].numpy() @ read + p["head.out.bias"].numpy())
    return torch.tensor(np.array(rows))


def head_of(weights: Weights) -> dict[str, torch.Tensor]:
    """Return the head's parameters, moved away from what may be special (zeros)."""
    generator = torch.Generator().manual_seed(2)
    found = {}
    with torch.no_grad():
        for name, p in weights.model.named_parameters():
            if name.startswith("head."):
                p += 0.3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
                found[name] = p.detach().clone()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_equals_plain_torch(architecture: str, kind: str, tmp_path: Path) -> None:
    """On every architecture, in float64; sums in another order: 1e-10."""
    weights = headed(tmp_path, kind, architecture)
    tensors = head_of(weights)
    with torch.no_grad():
        logits = weights.model.eval()(input_ids=IDS, attention_mask=MASK).logits
    assert logits.shape == (2, 2)
    expected = by_hand(kind, hidden_states(tmp_path, architecture), tensors)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_nothing(architecture: str, kind: str, tmp_path: Path) -> None:
    """A text beside a longer one has the logits that it has alone, to float64 rounding."""
    weights = headed(tmp_path, kind, architecture)
    head_of(weights)
    model = weights.model.eval()
    with torch.no_grad():
        both = model(input_ids=IDS, attention_mask=MASK).logits
        alone = model(input_ids=IDS[1:, :3], attention_mask=MASK[1:, :3]).logits
    torch.testing.assert_close(both[1:], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", [0, 2, 4, -1, -5])
def test_the_layer_is_the_hidden_state_of_that_number(layer: int, tmp_path: Path) -> None:
    weights = headed(tmp_path, "token0", layer=layer)
    tensors = head_of(weights)
    with torch.no_grad():
        logits = weights.model.eval()(input_ids=IDS, attention_mask=MASK).logits
    states = hidden_states(tmp_path)
    expected = by_hand("token0", [states[layer]], tensors)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "width"),
    [("token0", 16), ("concat", 64), ("mean", 16), ("attention", 16), ("cnn", 16)],
)
def test_the_last_map_reads_all_concatenated_layers(kind: str, width: int, tmp_path: Path) -> None:
    """Four concatenated layers have four times the hidden width."""
    weights = headed(tmp_path, kind, layers=4)
    assert weights.model.get_parameter("head.out.weight").shape == (2, width)


def test_a_convolution_over_more_layers_takes_the_maximum_over_positions(tmp_path: Path) -> None:
    weights = headed(tmp_path, "cnn", layers=4)
    p = head_of(weights)
    with torch.no_grad():
        logits = weights.model.eval()(input_ids=IDS, attention_mask=MASK).logits
    tops = torch.stack([state[:, 0] for state in hidden_states(tmp_path)[-4:]], 1)
    places = [
        sum(tops[:, start + k] @ p["head.convolution.weight"][:, :, k].T for k in range(3))
        + p["head.convolution.bias"]
        for start in (0, 1)
    ]
    read = torch.relu(torch.maximum(*places))
    expected = read @ p["head.out.weight"].T + p["head.out.bias"]
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)


def test_a_scalar_mix_starts_as_the_mean(tmp_path: Path) -> None:
    logits = []
    for kind in ("mean", "scalar_mix"):
        model = headed(tmp_path, kind).model.eval()
        with torch.no_grad():
            logits.append(model(input_ids=IDS, attention_mask=MASK).logits)
    torch.testing.assert_close(*logits, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_belongs_to_the_init_stream(kind: str, tmp_path: Path) -> None:
    """It is keyed by name; the unused pooler is removed; another start gives the same bits."""
    weights = headed(tmp_path, kind)
    names = {name for name, _ in weights.model.named_parameters()}
    assert set(weights.new) == {name for name in names if name.startswith("head.")}
    assert not any("pooler" in name or "classifier" in name for name in names)
    for name in weights.new:
        parameter = weights.model.get_parameter(name)
        expected = np.zeros(parameter.shape)
        if parameter.ndim > 1:
            expected = 0.02 * normal(7, name, tuple(parameter.shape))
        np.testing.assert_array_equal(parameter.detach().numpy(), expected)
    before = {name: t.clone() for name, t in weights.model.state_dict().items()}
    head_of(weights)
    weights.start(7)
    after = weights.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("architecture", "option"),
    [("bert", "classifier_dropout"), ("distilbert", "seq_classif_dropout")],
)
def test_dropout_before_the_last_map(architecture: str, option: str, tmp_path: Path) -> None:
    """It has the probability of the architecture's own head, and its own dropout site."""
    tiny_checkpoint(tmp_path / architecture, architecture, 0.0, n_layers=4, **{option: 0.4})
    weights = headed(tmp_path, "concat", architecture)
    tensors = head_of(weights)
    weights.dropout.key, weights.dropout.step = philox_key("dropout", 3), 5
    model = weights.model.train()
    logits = model(input_ids=IDS, attention_mask=MASK).logits
    read = torch.cat([state[:, 0] for state in hidden_states(tmp_path, architecture)[-3:]], 1)
    mask = scaled_mask((2, 48), 0.4, site_number("head.dropout"), weights.dropout)
    assert bool((mask == 0).any())
    expected = (read * mask) @ tensors["head.out.weight"].T + tensors["head.out.bias"]
    torch.testing.assert_close(logits.detach(), expected, rtol=1e-6, atol=1e-8)


def test_dropout_of_a_recipe_holds_for_the_head(tmp_path: Path) -> None:
    model = headed(tmp_path, "mean", dropout=0.25).model
    assert {m.p for m in model.modules() if isinstance(m, KeyedDropout)} == {0.25}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_trained(kind: str, tmp_path: Path) -> None:
    """Gradients reach all of the head and of the layers that it reads; losses are finite.

    An attention head reads one hidden state, here the last; the bias of its scores shifts all
    tokens alike and has none to speak of.
    """
    run = run_with(head=HeadSpec(kind, layers=3))
    tiny_checkpoint(tmp_path / "bert", "bert", n_layers=4)
    pack_model = trainee_of(run, weights_for(run, tmp_path))
    losses, norms = pack_model.update(first_batch(run), 0, False)
    assert np.isfinite(losses).all()
    assert norms[0] > 0
    for name, parameter in pack_model.parameters.items():
        assert parameter.grad is not None, name


def test_regression_has_one_output(tmp_path: Path) -> None:
    run = run_with(head=HeadSpec("attention"))
    result, weights = trained(run, tmp_path, n_labels=1)
    assert weights.model.get_parameter("head.out.weight").shape == (1, 16)
    assert result.logits["dev"].shape == (21, 1)
    assert result.losses[-5:].mean() < result.losses[:5].mean()


@pytest.mark.parametrize(
    ("kind", "layers", "layer", "message"),
    [
        ("concat", 5, -1, r"head.layers=5 is not possible: .*at most all of the model's 4 layers"),
        ("cnn", 2, -1, r"head.kind=cnn reads at least 3, because its kernel spans 3 layers"),
        ("token0", 4, 5, r"head.layer=5 is not there: the model has 4 layers, .* 0 .* to 4"),
        ("attention", 4, -6, r"head.layer=-6 is not there"),
    ],
)
def test_missing_layers_are_refused(
    kind: str, layers: int, layer: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SeedlabError, match=message):
        headed(tmp_path, kind, layers=layers, layer=layer)
