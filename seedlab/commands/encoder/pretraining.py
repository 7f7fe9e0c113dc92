"""Pre-training of the encoder that seedlab ships, on text of the embedded grammar."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedlab.commands.encoder.model_card import model_card
from seedlab.errors import SeedlabError
from seedlab.models.saved import share_weights
from seedlab.randomness.streams import permutation, raw_bits
from seedlab.tasks.embedded.lexicon import vocabulary
from seedlab.tasks.embedded.task import unlabelled

logger = logging.getLogger(__name__)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POSITIONS = 128
_MASK_RATE = 0.15
_IGNORED = -100


@dataclass(frozen=True)
class PretrainOptions:
    """The options of `seedlab pretrain`; together they determine the encoder.

    Parameters
    ----------
    steps : int
        Updates.
    batch_size : int
        Sequences per update; half of them are single sentences, half pairs.
    sequences : int
        Sequences in the text; it is repeated until all updates are made.
    learning_rate : float
        Peak of a linear schedule with 10 percent warm-up.
    seed : int
        Seed of the text, the initial weights, the order and the masks.
    threads : int
        CPU threads; another number changes the last bits.
    """

    steps: int = 9000
    batch_size: int = 64
    sequences: int = 200_000
    learning_rate: float = 2e-3
    seed: int = 0
    threads: int = 1


def pretrain(folder: Path, options: PretrainOptions, command: str = "seedlab pretrain") -> float:
    """Pre-train a small BERT with masked language modelling and save it.

    Parameters
    ----------
    folder : pathlib.Path
        New or empty. It gets config.json, model.safetensors, the tokenizer's files and a
        MODEL_CARD.md.
    options : PretrainOptions
    command : str
        Command line that repeats the pre-training, for the model card.

    Returns
    -------
    float
        Mean loss (nats per masked token) of the last 200 updates.

    Raises
    ------
    SeedlabError
        When an option is out of range or the folder holds files already.
    """
    _check(folder, options)
    import torch
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(options.threads)
    model = _new_model(options.seed)
    tokenizer = make_tokenizer()
    text = list(islice(unlabelled(options.seed), options.sequences))
    ids = [
        (np.array(e.ids), np.array(e.type_ids))
        for e in tokenizer.backend_tokenizer.encode_batch(text_inputs(text))
    ]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    exempt = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": exempt, "weight_decay": 0.0}],
        lr=options.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-6,
    )
    warmup = max(1, options.steps // 10)
    losses: list[float] = []
    start = time.perf_counter()
    model.eval()  # no dropout: the text is far too long to be memorised
    for step, rows in enumerate(islice(_batches(ids, options), options.steps)):
        rate = min((step + 1) / warmup, (options.steps - step) / max(1, options.steps - warmup))
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * rate
        inputs, types, lengths, targets = mask_batch(rows, options.seed, step)
        chosen = torch.from_numpy(targets != _IGNORED)
        hidden = model.bert(
            input_ids=torch.from_numpy(inputs),
            token_type_ids=torch.from_numpy(types),
            attention_mask=torch.from_numpy(lengths),
        ).last_hidden_state
        logits = model.cls(hidden[chosen])
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets)[chosen])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            logger.info(
                "step %d of %d: loss %.4f (%.0f s)",
                step + 1,
                options.steps,
                np.mean(losses[-100:]),
                time.perf_counter() - start,
            )
    seconds = time.perf_counter() - start
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()
    model.save_pretrained(folder)
    share_weights(folder)
    tokenizer.save_pretrained(folder)
    size = (len(SPECIAL) + len(vocabulary()), POSITIONS, sum(p.numel() for p in model.parameters()))
    card = model_card(command, vars(options), size, losses, seconds)
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return float(np.mean(losses[-200:]))


def text_inputs(text: list[tuple[str, str | None]]) -> list[Any]:
    """Return single texts and pairs as the tokenizer takes them."""
    return [first if second is None else (first, second) for first, second in text]


def make_tokenizer() -> Any:
    """Return the tokenizer: one token per word of the grammar."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate((*SPECIAL, *vocabulary()))}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=POSITIONS,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def mask_batch(
    rows: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]], seed: int, step: int
) -> tuple[npt.NDArray[np.int64], ...]:
    """Pad sequences and mask 15 percent of their tokens: 80/10/10 as in BERT.

    Parameters
    ----------
    rows : list of (ids, types), each a (token,) array
    seed, step
        Key and block of the `mask` stream's counter.

    Returns
    -------
    inputs, types, attention, targets : (row, position) arrays of int64
        Targets are -100 where nothing is to be predicted; special tokens never are masked.
    """
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    inputs, types, attention = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for row, (ids, kinds) in enumerate(rows):
        inputs[row, : len(ids)] = ids
        types[row, : len(ids)] = kinds
        attention[row, : len(ids)] = 1
    words = raw_bits("mask", seed, step, 2 * inputs.size)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    pick, fate = uniform.reshape(2, *shape)
    special = len(SPECIAL)
    masked = (pick < _MASK_RATE) & (inputs >= special)
    targets = np.where(masked, inputs, _IGNORED)
    # Within the last tenth of its range the draw is uniform again: it picks the word.
    size = special + len(vocabulary())
    other = special + ((fate - 0.9) * 10 * (size - special)).astype(np.int64)
    inputs = np.where(masked & (fate < 0.8), SPECIAL.index("[MASK]"), inputs)
    inputs = np.where(masked & (fate >= 0.9), np.clip(other, special, size - 1), inputs)
    return inputs, types, attention, targets


def _batches(ids: list[Any], options: PretrainOptions) -> Any:
    """Yield batches of sequences of like length, in a new order every epoch, without end."""
    epoch = 0
    window = 16 * options.batch_size
    while True:
        order = permutation(options.seed, epoch, len(ids))
        for start in range(0, len(order) - window + 1, window):
            near = sorted(order[start : start + window], key=lambda i: len(ids[i][0]))
            batches = [
                near[i : i + options.batch_size] for i in range(0, window, options.batch_size)
            ]
            turns = permutation(options.seed, start, len(batches), "mask")
            for turn in turns:
                yield [ids[i] for i in batches[turn]]
        epoch += 1


def _new_model(seed: int) -> Any:
    """Return a BERT with a language-modelling head, all its weights from the init stream."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from seedlab.models.initialise import initialise

    config = BertConfig(
        vocab_size=len(SPECIAL) + len(vocabulary()),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        pad_token_id=0,
    )
    # transformers draws its own weights first, globally: on a forked generator.
    with torch.random.fork_rng(devices=[]):
        model = BertForMaskedLM(config)
    initialise(
        model, [name for name, _ in model.named_parameters()], seed, config.initializer_range
    )
    return model


def _check(folder: Path, options: PretrainOptions) -> None:
    for name in ("steps", "batch_size", "sequences", "threads"):
        if getattr(options, name) < 1:
            raise SeedlabError(
                f"pretrain {name}={getattr(options, name)} is out of range; it must be at least 1."
            )
    if options.learning_rate <= 0:
        raise SeedlabError(
            f"pretrain learning_rate={options.learning_rate} is out of range; it must be above 0."
        )
    if options.sequences < 16 * options.batch_size:
        raise SeedlabError(
            f"pretrain sequences={options.sequences} is too few for batch_size={options.batch_size}; "
            f"it must be at least 16 batches, {16 * options.batch_size}."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SeedlabError(
            f"{folder} exists and is not an empty folder; nothing is overwritten: name a new folder."
        )
