"""Keyed dropout, its random generator, and the guard against global draws."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import GPT2Config, GPT2ForSequenceClassification

from seedlab.errors import SeedlabError
from seedlab.models.generator_guard import forbid_global_draws
from seedlab.models.keyed_dropout import (
    DropoutSite,
    DropoutState,
    KeyedDropout,
    scaled_mask,
    site_number,
)
from seedlab.randomness.philox import philox4x32
from seedlab.randomness.streams import philox_key
from tests.suites.tape import Tape
from tests.suites.tiny import ARCHITECTURES, tiny_weights

ZERO, FULL = 0, 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((ZERO,) * 4, (ZERO,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (*PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    """The vectors of the Random123 distribution, in torch and in numpy."""
    tensors = philox4x32(*(torch.tensor([c]) for c in counter), key)
    arrays = philox4x32(*(np.array([c], dtype=np.uint64) for c in counter), key)
    assert tuple(int(t) for t in tensors) == words
    assert tuple(int(a[0]) for a in arrays) == words


@given(st.lists(st.integers(0, FULL), min_size=4, max_size=4), st.integers(0, 2**64 - 1))
def test_torch_and_numpy_agree(counter: list[int], key: int) -> None:
    keys = key & FULL, key >> 32
    tensors = philox4x32(*(torch.tensor([c]) for c in counter), keys)
    arrays = philox4x32(*(np.array([c], dtype=np.uint64) for c in counter), keys)
    assert [int(t) for t in tensors] == [int(a[0]) for a in arrays]


def state(max_length: int = 12, **changes: int) -> DropoutState:
    return DropoutState(max_length, key=philox_key("dropout", 3), **changes)


def test_mask_is_the_documented_function_of_its_counter() -> None:
    mask = scaled_mask((2, 3, 8), 0.3, site=77, state=state(step=5, row=4))
    for row in range(2):
        for position in range(3):
            for feature in range(8):
                number = position * 8 + feature
                words = philox4x32(
                    *(torch.tensor([c]) for c in (number // 4, row + 4, 77, 5)),
                    philox_key("dropout", 3),
                )
                kept = int(words[number % 4]) >= int(0.3 * 2**32)
                expected = np.float32(1 / 0.7) if kept else 0.0
                assert float(mask[row, position, feature]) == expected


SHAPES = [(3, 10), (3, 5, 10), (3, 2, 5, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_state_in_tensors_gives_the_same_masks(shape: tuple[int, ...]) -> None:
    """On a GPU torch draws, and captured steps read step and key from tensors; run on the CPU here."""
    plain = state(step=5, row=4)
    held = dataclasses.replace(plain, step=torch.tensor(5), key=tuple(map(torch.tensor, plain.key)))
    assert torch.equal(scaled_mask(shape, 0.1, 77, held), scaled_mask(shape, 0.1, 77, plain))


def test_a_recorded_step_draws_new_masks_when_it_is_replayed() -> None:
    """Nothing of the step or of the key is frozen into the recording."""
    held = DropoutState(12, (torch.tensor(1), torch.tensor(2)), torch.tensor(0))
    x = torch.ones(3, 5, 10)
    drawn, replay = Tape().capture(lambda: DropoutSite(held, 77)(x, 0.3))
    for step, key in ((0, (1, 2)), (8, (1, 2)), (8, (6, 7))):
        held.step.fill_(step)  # type: ignore[union-attr]
        for word, value in zip(held.key, key, strict=True):
            word.fill_(value)  # type: ignore[union-attr]
        replay()
        assert torch.equal(drawn, scaled_mask((3, 5, 10), 0.3, 77, DropoutState(12, key, step)))


def test_the_scale_is_not_rounded_to_the_precision_of_the_activations() -> None:
    """1/(1-.1) in bfloat16 would be 1.109375, so that activations lose a thousandth on average."""
    x = torch.full((2, 64), 1.75, dtype=torch.bfloat16)
    dropped = DropoutSite(state(), 77)(x, 0.1)
    assert dropped.dtype == torch.bfloat16
    expected = torch.tensor(1.75 * np.float32(1 / 0.9)).to(torch.bfloat16)
    assert set(dropped.unique().tolist()) == {0.0, float(expected)}
    assert float(expected) != float(x[0, 0] * torch.tensor(1 / 0.9, dtype=torch.bfloat16))


@pytest.mark.parametrize("shape", [(4, 6, 16), (4, 2, 6, 6)])
def test_mask_does_not_depend_on_padding(shape: tuple[int, ...]) -> None:
    """A longer example in the batch does not change another example's mask."""
    longer = (*shape[:1], 9, 16) if len(shape) == 3 else (*shape[:2], 9, 9)
    short, long = (scaled_mask(s, 0.5, 1, state()) for s in (shape, longer))
    cut = long[:, :6] if len(shape) == 3 else long[:, :, :6, :6]
    assert torch.equal(short, cut)


def test_mask_of_later_rows_is_the_tail_of_the_whole_batch() -> None:
    whole = scaled_mask((6, 5, 8), 0.5, 1, state())
    assert torch.equal(whole[4:], scaled_mask((2, 5, 8), 0.5, 1, state(row=4)))


@pytest.mark.parametrize("change", ["step", "site", "seed"])
def test_mask_changes_with_every_part_of_its_counter(change: str) -> None:
    before = scaled_mask((4, 5, 8), 0.5, 1, state())
    after = scaled_mask(
        (4, 5, 8),
        0.5,
        2 if change == "site" else 1,
        DropoutState(
            12,
            key=philox_key("dropout", 4 if change == "seed" else 3),
            step=1 if change == "step" else 0,
        ),
    )
    assert not torch.equal(before, after)


@pytest.mark.stat
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_share_of_dropped_elements(p: float) -> None:
    """250,000 draws: a correct share lies within 5 standard errors with probability 1 - 6e-7."""
    mask = scaled_mask((50, 50, 100), p, 1, state(50))
    share = float((mask == 0).double().mean())
    assert abs(share - p) < 5 * (p * (1 - p) / 250_000) ** 0.5


def test_site_numbers_of_a_model_differ() -> None:
    names = [f"bert.encoder.layer.{i}.{part}" for i in range(24) for part in ("a", "b", "c")]
    assert len({site_number(name) for name in names}) == 72


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_dropout_of_a_model_is_replaced(architecture: str, tmp_path: Path) -> None:
    """No nn.Dropout is left, and a pass in training mode draws nothing (checked at loading)."""
    weights = tiny_weights(tmp_path, architecture)
    model = weights.start(0)
    assert not any(isinstance(module, nn.Dropout) for module in model.modules())
    assert any(isinstance(module, KeyedDropout) for module in model.modules())
    weights.dropout.key = philox_key("dropout", 1)
    ids = torch.tensor([[3, 5, 6, 7, 4]])
    model.train()
    first, again = model(input_ids=ids).logits, model(input_ids=ids).logits
    assert torch.equal(first, again)
    weights.dropout.step = 1
    assert not torch.equal(first, model(input_ids=ids).logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_probabilities_are_dropped(architecture: str, tmp_path: Path) -> None:
    """Attention dropout, which transformers applies by a function, is keyed as well."""
    model = tiny_weights(tmp_path, architecture).start(0)
    calls: list[int] = []

    def record(x: torch.Tensor, p: float) -> torch.Tensor:
        calls.append(x.ndim)
        assert p == 0.1
        return x

    for module in model.modules():
        if "dropout_site" in module.__dict__:
            module.__dict__["dropout_site"] = record
    model.train()
    model(input_ids=torch.tensor([[3, 5, 6, 7, 4]]))
    assert calls == [4, 4]


def test_functional_dropout_is_refused() -> None:
    """An architecture that calls torch's own dropout function can't be keyed."""

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.1, training=True)

    with pytest.raises(SeedlabError, match=r"the odd model draws random numbers.*config.json"):
        forbid_global_draws(lambda: Odd()(torch.ones(3)), "the odd model")


def test_guard_lets_a_model_without_draws_pass() -> None:
    config = GPT2Config(
        vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        model = GPT2ForSequenceClassification(config).train()
    forbid_global_draws(lambda: model(input_ids=torch.ones((1, 3), dtype=torch.long)), "gpt2")
