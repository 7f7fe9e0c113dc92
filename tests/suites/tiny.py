"""Small tasks and small random checkpoints of several architectures, made on the spot."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
)

from seedlab.models.pretrained import Weights, load_weights
from seedlab.tasks.encoded import EncodedTask, Split

ARCHITECTURES = ("bert", "roberta", "distilbert", "electra")
VOCABULARY = 50
MAX_LENGTH = 12


def tiny_task(
    seed: int = 0,
    n_train: int = 38,
    n_dev: int = 21,
    n_labels: int = 2,
    splits: tuple[str, ...] = ("train", "dev"),
) -> EncodedTask:
    """Return a task of random token sequences whose label is whether token 7 occurs."""
    generator = np.random.Generator(np.random.Philox(seed))

    def make(n: int) -> Split:
        lengths = generator.integers(4, MAX_LENGTH + 1, n)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ids = generator.integers(5, 12, offsets[-1]).astype(np.int32)
        counts = np.array([np.sum(ids[a:b] == 7) for a, b in itertools.pairwise(offsets)])
        labels = counts.astype(np.float64) if n_labels == 1 else np.minimum(counts, n_labels - 1)
        types = np.zeros(len(ids), np.int8)
        return Split(ids, types, offsets, labels)

    sizes = {"train": n_train}
    return EncodedTask(
        name="tiny",
        splits={name: make(sizes.get(name, n_dev)) for name in splits},
        n_labels=n_labels,
        label_names=tuple(f"class{i}" for i in range(n_labels)) if n_labels > 1 else (),
        metrics=("rmse",) if n_labels == 1 else ("accuracy",),
        pad_id=1,
        max_length=MAX_LENGTH,
    )


def tiny_checkpoint(
    folder: Path, architecture: str, dropout: float = 0.1, n_layers: int = 2, **changes: Any
) -> Path:
    """Write a randomly initialised encoder of a few thousand parameters, hub layout.

    `changes` are further values of the configuration.
    """
    shared = {"vocab_size": VOCABULARY, "pad_token_id": 1}
    bert = {
        "hidden_size": 16,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 20,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        **shared,
        **changes,
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        if architecture == "bert":
            model = BertModel(BertConfig(**bert))
        elif architecture == "roberta":
            model = RobertaModel(RobertaConfig(**{"type_vocab_size": 1, **bert}))
        elif architecture == "electra":
            model = ElectraModel(ElectraConfig(embedding_size=8, **bert))
        else:
            model = DistilBertModel(
                DistilBertConfig(
                    dim=16,
                    n_layers=n_layers,
                    n_heads=2,
                    hidden_dim=24,
                    max_position_embeddings=20,
                    dropout=dropout,
                    attention_dropout=dropout,
                    **{"seq_classif_dropout": dropout, **shared, **changes},
                )
            )
    model.save_pretrained(folder)
    return folder


def tiny_weights(
    folder: Path,
    architecture: str = "bert",
    *,
    n_labels: int = 2,
    dtype: torch.dtype = torch.float32,
    dropout: float | None = None,
    **model_options: Any,
) -> Weights:
    """Return a small random checkpoint, loaded."""
    where = folder / architecture
    if not where.exists():
        tiny_checkpoint(where, architecture)
    return load_weights(
        where,
        n_labels=n_labels,
        pad_id=1,
        max_length=MAX_LENGTH,
        dtype=dtype,
        dropout=dropout,
        **model_options,
    )
