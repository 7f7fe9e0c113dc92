"""Pre-training: masks, the tokenizer, a short run, and the encoder that is shipped."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.commands.cli import main
from seedlab.commands.encoder.pretraining import (
    SPECIAL,
    PretrainOptions,
    make_tokenizer,
    mask_batch,
    pretrain,
    text_inputs,
)
from seedlab.errors import SeedlabError
from seedlab.tasks.embedded.lexicon import vocabulary
from seedlab.tasks.embedded.random_choices import RandomChoices
from seedlab.tasks.embedded.task import _paraphrase, side, unlabelled

SHORT = PretrainOptions(steps=12, batch_size=8, sequences=128)


def rows(n: int) -> list[Any]:
    backend = make_tokenizer().backend_tokenizer
    encoded = backend.encode_batch(text_inputs(list(islice(unlabelled(1), n))))
    return [(np.array(e.ids), np.array(e.type_ids)) for e in encoded]


def test_masks_have_the_right_rates_and_spare_special_tokens() -> None:
    """Of some 20,000 ordinary tokens 15 % are chosen, of these 80/10/10; the tolerances are
    5 standard deviations or more (chance below 1e-6), and the draws are fixed.
    """
    batch = rows(1500)
    inputs, types, attention, targets = mask_batch(batch, seed=0, step=7)
    whole = np.zeros_like(inputs)
    for i, (ids, _) in enumerate(batch):
        whole[i, : len(ids)] = ids
    chosen = targets != -100
    ordinary = whole >= len(SPECIAL)
    assert not (chosen & ~ordinary).any()
    np.testing.assert_array_equal(targets[chosen], whole[chosen])
    np.testing.assert_array_equal(inputs[~chosen], whole[~chosen])
    n, k = ordinary.sum(), chosen.sum()
    assert k / n == pytest.approx(0.15, abs=5 * np.sqrt(0.15 * 0.85 / n))
    masked = inputs[chosen] == SPECIAL.index("[MASK]")
    kept = inputs[chosen] == whole[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=5 * np.sqrt(0.16 / k))
    # A word drawn at random may be the word itself.
    assert kept.mean() == pytest.approx(0.1 + 0.1 / len(vocabulary()), abs=5 * np.sqrt(0.09 / k))
    drawn = inputs[chosen][~masked & ~kept]
    assert drawn.min() >= len(SPECIAL)
    assert drawn.max() < len(SPECIAL) + len(vocabulary())
    assert len(np.unique(drawn)) > 150
    assert attention.sum() == sum(len(ids) for ids, _ in batch)
    assert types.sum() == sum(kinds.sum() for _, kinds in batch)


def test_masks_follow_seed_and_step_alone() -> None:
    batch = rows(8)
    first, again = mask_batch(batch, 0, 3), mask_batch(batch, 0, 3)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (mask_batch(batch, 0, 4)[3] != first[3]).any()
    assert (mask_batch(batch, 1, 3)[3] != first[3]).any()


def test_no_word_of_the_generator_is_unknown_to_the_tokenizer() -> None:
    assert all((ids != SPECIAL.index("[UNK]")).all() for ids, _ in rows(500))


def test_a_short_run_is_repeatable_and_draws_nothing_globally(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before, host = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    threads = torch.get_num_threads()
    try:
        losses = [pretrain(tmp_path / name, SHORT) for name in ("a", "b")]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(before, torch.get_rng_state())
    assert (host == np.random.get_state()[1]).all()  # type: ignore[index]  # noqa: NPY002
    files = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    assert set(files) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "MODEL_CARD.md",
    }
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert files[name] == (tmp_path / "b" / name).read_bytes(), name
    assert losses[0] == losses[1]


def test_the_command_line(tmp_path: Path) -> None:
    new = tmp_path / "new"
    threads = torch.get_num_threads()
    try:
        assert main(["pretrain", str(new), "--steps=1", "--batch-size=8", "--sequences=128"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert (new / "model.safetensors").is_file()
    assert (
        f'"learning_rate": {PretrainOptions().learning_rate}' in (new / "MODEL_CARD.md").read_text()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (PretrainOptions(steps=0), "pretrain steps=0 is out of range; it must be at least 1"),
        (PretrainOptions(learning_rate=0.0), "learning_rate=0.0 is out of range"),
        (PretrainOptions(sequences=100), "sequences=100 is too few .* at least 16 batches, 1024"),
    ],
)
def test_refusal_of_options(tmp_path: Path, options: PretrainOptions, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        pretrain(tmp_path / "new", options)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SeedlabError, match=r"exists and is not an empty folder; nothing is over"):
        pretrain(tmp_path, SHORT)


ENCODER = Path(__file__).parents[2] / "seedlab" / "assets" / "encoder"


def test_the_shipped_encoder_is_small_and_what_its_card_says() -> None:
    from safetensors import safe_open

    assert (ENCODER / "model.safetensors").stat().st_size <= 4_000_000
    with safe_open(ENCODER / "model.safetensors", framework="np") as file:
        names = list(file.keys())
        size = sum(file.get_tensor(name).size for name in names)
    assert 500_000 <= size <= 2_000_000
    assert not [name for name in names if "pooler" in name]
    config = json.loads((ENCODER / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.1
    card = (ENCODER / "MODEL_CARD.md").read_text()
    assert "seedlab pretrain" in card
    assert json.dumps(vars(PretrainOptions())) in card


def test_the_shipped_tokenizer_is_the_one_the_lexicon_makes() -> None:
    made = json.loads(make_tokenizer().backend_tokenizer.to_str())
    shipped = json.loads((ENCODER / "tokenizer.json").read_text())
    assert shipped["model"]["vocab"] == made["model"]["vocab"]


def test_the_shipped_encoder_knows_text_it_has_not_seen() -> None:
    """Sentences of the validation side. A word drawn from 869 costs 6.8 nats; an encoder
    that knows how often words occur about 5.5. It was below 2.6 at the end of training.
    """
    from transformers import BertForMaskedLM

    model = BertForMaskedLM.from_pretrained(ENCODER)
    model.eval()
    choices = RandomChoices("test/pretrain")
    made = (_paraphrase(choices)[:2] for _ in range(10_000))
    unseen = [p for p in made if side(p[0]) == "dev" == side(str(p[1]))][:200]
    backend = make_tokenizer().backend_tokenizer
    batch = [(np.array(e.ids), np.array(e.type_ids)) for e in backend.encode_batch(unseen)]
    inputs, types, attention, targets = (torch.from_numpy(a) for a in mask_batch(batch, 9, 9))
    with torch.no_grad():
        logits = model(input_ids=inputs, token_type_ids=types, attention_mask=attention).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert loss.item() < 3.5
