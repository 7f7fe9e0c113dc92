"""`ARCHITECTURES`: the names that each architecture gives to the parts of one encoder.

The architectures of the BERT family compute the same and differ in names, in the head and in
the places of dropout. Another one of the family needs an entry here; tests/suites/architecture.py
checks it against transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerNames:
    """Module names of one transformer layer; dropout sites are modules as well.

    Parameters
    ----------
    prefix : str
        Common beginning of the names of all modules of the layer.
    query, key, value, output, norm, up, down, final_norm : str
    attention_site, output_site, down_site : str or None
        Where dropout applies: attention probabilities, attention output, feed-forward output.
    """

    prefix: str
    query: str
    key: str
    value: str
    output: str
    norm: str
    up: str
    down: str
    final_norm: str
    attention_site: str
    output_site: str | None
    down_site: str


@dataclass(frozen=True)
class HeadNames:
    """Module names of the classifier, as templates in which ``{base}`` is the encoder.

    Parameters
    ----------
    dense : str
        Linear map of the first token.
    activation : str
        Activation after `dense`: tanh, gelu or relu.
    out : str
        Linear map to the logits.
    dense_site, out_site : str or None
        Dropout before `dense` and before `out`. One module that is called twice draws the same
        mask twice.
    """

    dense: str
    activation: str
    out: str
    dense_site: str | None
    out_site: str


@dataclass(frozen=True)
class ArchitectureNames:
    """The statements about an architecture that its configuration does not make.

    Parameters
    ----------
    title : str
        Name of the architecture in messages.
    layer : callable
        (name of the encoder, number of the layer from 0) -> LayerNames.
    head : HeadNames
    activation : str
        Key of the configuration that names the activation of the feed-forward layers.
    eps : float or None
        Epsilon of every norm; None: ``layer_norm_eps`` of the configuration.
    has_types : bool
        Whether token types have an embedding table.
    positions_count_tokens : bool
        Whether positions are counted over the tokens that are not padding, from the padding's
        id + 1 on; else from 0 over all tokens.
    """

    title: str
    layer: Callable[[str, int], LayerNames]
    head: HeadNames
    activation: str = "hidden_act"
    eps: float | None = None
    has_types: bool = True
    positions_count_tokens: bool = False


def bert_layer(base: str, number: int) -> LayerNames:
    """Return the names of a layer of BERT, which RoBERTa and ELECTRA share."""
    layer = f"{base}.encoder.layer.{number}"
    attention = f"{layer}.attention"
    return LayerNames(
        prefix=f"{layer}.",
        query=f"{attention}.self.query",
        key=f"{attention}.self.key",
        value=f"{attention}.self.value",
        output=f"{attention}.output.dense",
        norm=f"{attention}.output.LayerNorm",
        up=f"{layer}.intermediate.dense",
        down=f"{layer}.output.dense",
        final_norm=f"{layer}.output.LayerNorm",
        attention_site=f"{attention}.self",
        output_site=f"{attention}.output.dropout",
        down_site=f"{layer}.output.dropout",
    )


def distilbert_layer(base: str, number: int) -> LayerNames:
    """Return the names of a layer of DistilBERT."""
    layer = f"{base}.transformer.layer.{number}"
    return LayerNames(
        prefix=f"{layer}.",
        query=f"{layer}.attention.q_lin",
        key=f"{layer}.attention.k_lin",
        value=f"{layer}.attention.v_lin",
        output=f"{layer}.attention.out_lin",
        norm=f"{layer}.sa_layer_norm",
        up=f"{layer}.ffn.lin1",
        down=f"{layer}.ffn.lin2",
        final_norm=f"{layer}.output_layer_norm",
        attention_site=f"{layer}.attention",
        output_site=None,
        down_site=f"{layer}.ffn.dropout",
    )


_SHARED_DROPOUT = "classifier.dropout"
BERT = ArchitectureNames(
    title="BERT (MiniLM is one)",
    layer=bert_layer,
    head=HeadNames("{base}.pooler.dense", "tanh", "classifier", None, "dropout"),
)
ROBERTA = ArchitectureNames(
    title="RoBERTa",
    layer=bert_layer,
    head=HeadNames(
        "classifier.dense", "tanh", "classifier.out_proj", _SHARED_DROPOUT, _SHARED_DROPOUT
    ),
    positions_count_tokens=True,
)
DISTILBERT = ArchitectureNames(
    title="DistilBERT",
    layer=distilbert_layer,
    head=HeadNames("pre_classifier", "relu", "classifier", None, "dropout"),
    activation="activation",
    eps=1e-12,
    has_types=False,
)
ELECTRA = ArchitectureNames(
    title="ELECTRA",
    layer=bert_layer,
    head=HeadNames(
        "classifier.dense", "gelu", "classifier.out_proj", _SHARED_DROPOUT, _SHARED_DROPOUT
    ),
)
ARCHITECTURES: Mapping[str, ArchitectureNames] = {
    "BertForSequenceClassification": BERT,
    "RobertaForSequenceClassification": ROBERTA,
    "XLMRobertaForSequenceClassification": ROBERTA,
    "DistilBertForSequenceClassification": DISTILBERT,
    "ElectraForSequenceClassification": ELECTRA,
}
"""Architectures that the packed engine can stack, by the class that transformers has for them."""
