"""Every architecture that the packed engine knows passes the suite."""

from __future__ import annotations

import re

import pytest
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from seedlab.engines.packed.encoder.architecture_names import ARCHITECTURES
from tests.suites.architecture import SIZES, ArchitectureSuite


class TestBert(ArchitectureSuite):
    def encoder(self) -> PreTrainedModel:
        return BertModel(BertConfig(**SIZES))


class TestRoberta(ArchitectureSuite):
    def encoder(self) -> PreTrainedModel:
        return RobertaModel(RobertaConfig(**SIZES, type_vocab_size=1))


class TestXLMRoberta(ArchitectureSuite):
    def encoder(self) -> PreTrainedModel:
        return XLMRobertaModel(XLMRobertaConfig(**SIZES, type_vocab_size=1))


class TestDistilBert(ArchitectureSuite):
    def encoder(self) -> PreTrainedModel:
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
        shared = {key: SIZES[key] for key in ("vocab_size", "max_position_embeddings")}
        config = DistilBertConfig(**sizes, **shared, pad_token_id=1, seq_classif_dropout=0.1)
        return DistilBertModel(config)


class TestElectra(ArchitectureSuite):
    def encoder(self) -> PreTrainedModel:
        return ElectraModel(ElectraConfig(**SIZES, embedding_size=8))


def test_every_architecture_has_a_suite() -> None:
    tested = {name.removeprefix("Test") for name in globals() if re.match("Test[A-Z]", name)}
    assert tested == {name.removesuffix("ForSequenceClassification") for name in ARCHITECTURES}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_titles_are_words(name: str) -> None:
    """They stand in the message that refuses an unknown architecture."""
    title = ARCHITECTURES[name].title.partition(" ")[0].replace("-", "").lower()
    assert title in name.lower()
