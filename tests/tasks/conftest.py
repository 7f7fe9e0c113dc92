from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

TEXT = "the a dog cat sleeps barks on mat quick brown fox jumps over lazy it is good bad"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_tokenizer(folder: Path, *, typed: bool) -> Path:
    """Save a tokenizer of one token per word; `typed`: it tells the texts of a pair apart."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {word: i for i, word in enumerate((*SPECIAL, *TEXT.split()))}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = ["input_ids", "token_type_ids"] if typed else ["input_ids"]
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=[*names, "attention_mask"],
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("typed"), typed=True)


@pytest.fixture(scope="session")
def untyped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("untyped"), typed=False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = os.environ.get("SEEDLAB_DATA")
    if not folder:
        pytest.skip("SEEDLAB_DATA is not set: no real data")
    return Path(folder)
