"""`EncoderArchitecture`: names, activations and dropout of one model, for the stacked encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel

from seedlab.compat.peft_private import base_name
from seedlab.compat.transformers_private import own_class_name
from seedlab.engines.packed.encoder.architecture_names import ARCHITECTURES, LayerNames
from seedlab.errors import SeedlabError
from seedlab.models.keyed_dropout import KeyedDropout

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
"""Activations of feed-forward layers that the stacked encoder supports."""


@dataclass(frozen=True)
class EncoderArchitecture:
    """A sequence classifier or regressor of the BERT family.

    Parameters
    ----------
    embeddings : str
        Common beginning of the names of all modules before the first layer.
    words, positions, types : str
        Parameter names of the embedding tables; `types` is None if the model has no token types.
    norm : str
        Module name of the layer norm of the embeddings.
    project : str or None
        Module name of the linear map from the embeddings to the hidden width, if any.
    layers : tuple of LayerNames
    dense, activation, out : str
        The head: dense layer, its activation (tanh, gelu, relu) and last linear map.
    embedding_site, dense_site, out_site : str or None
        Dropout sites after the embeddings, before the dense layer and before the last map.
    padding : int
        Token id of the padding; its embedding gets no gradient.
    positions_count_tokens : bool
        Whether positions are counted from `padding` + 1 over the tokens that are not padding.
    heads : int
        Attention heads.
    eps : float
        Epsilon of every norm.
    feed_forward : str
        Activation of the feed-forward layers, one of `ACTIVATIONS`.
    dropout : mapping of site to probability
        Sites with positive dropout probability.
    """

    embeddings: str
    words: str
    positions: str
    types: str | None
    norm: str
    project: str | None
    layers: tuple[LayerNames, ...]
    dense: str
    activation: str
    out: str
    embedding_site: str
    dense_site: str | None
    out_site: str
    padding: int
    positions_count_tokens: bool
    heads: int
    eps: float
    feed_forward: str
    dropout: dict[str, float]

    @property
    def tables(self) -> tuple[str, ...]:
        """Parameter names of the model's embedding tables."""
        return tuple(name for name in (self.words, self.positions, self.types) if name is not None)

    def stage(self, name: str) -> int:
        """Return the depth of a parameter or dropout site.

        It is 0 for embeddings, i for the i-th layer from the bottom, and the number of layers + 1
        for the head.
        """
        if name.startswith(self.embeddings):
            return 0
        for number, layer in enumerate(self.layers, 1):
            if name.startswith(layer.prefix):
                return number
        return len(self.layers) + 1


def describe(model: PreTrainedModel) -> EncoderArchitecture:
    """Return the architecture of a model with keyed dropout.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        See `seedlab.models.pretrained.Weights`.

    Raises
    ------
    SeedlabError
        When `ARCHITECTURES` has no entry for the model, or the encoder can't compute its activation.
    """
    names = ARCHITECTURES.get(own_class_name(model) or "")
    config: Any = model.config
    if names is None:
        *titles, last = dict.fromkeys(known.title for known in ARCHITECTURES.values())
        raise SeedlabError(
            f"engine=packed can't stack a {type(model).__name__} ({config.model_type}); it knows "
            f"{', '.join(titles)} and {last}: use engine=serial, which trains any sequence "
            "classifier."
        )
    feed_forward = getattr(config, names.activation)
    if feed_forward not in ACTIVATIONS:
        raise SeedlabError(
            f"engine=packed can't stack a model with the activation {feed_forward!r}; it knows "
            f"{', '.join(ACTIVATIONS)}: use engine=serial."
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise SeedlabError(
            "engine=packed can't stack a decoder (config.is_decoder or add_cross_attention is "
            "true); it knows encoders: use engine=serial."
        )
    base = model.base_model_prefix
    dropout = {
        name: module.p
        for name, module in model.named_modules()
        if isinstance(module, KeyedDropout) and module.p > 0.0
    }
    layers = tuple(
        _past_adapters(model, names.layer(base, number))
        for number in range(config.num_hidden_layers)
    )
    for layer in layers:
        # The attention function's dropout is keyed by the attention module; the dropout module
        # only holds its probability.
        p = dropout.pop(f"{layer.attention_site}.dropout", 0.0)
        if p > 0.0:
            dropout[layer.attention_site] = p
    embeddings = f"{base}.embeddings"
    return EncoderArchitecture(
        embeddings=embeddings,
        words=f"{embeddings}.word_embeddings.weight",
        positions=f"{embeddings}.position_embeddings.weight",
        types=f"{embeddings}.token_type_embeddings.weight" if names.has_types else None,
        norm=f"{embeddings}.LayerNorm",
        project=f"{base}.embeddings_project"
        if hasattr(model.base_model, "embeddings_project")
        else None,
        layers=layers,
        dense=names.head.dense.format(base=base),
        activation=names.head.activation,
        out=names.head.out.format(base=base),
        embedding_site=f"{embeddings}.dropout",
        dense_site=names.head.dense_site,
        out_site=names.head.out_site,
        padding=int(config.pad_token_id),
        positions_count_tokens=names.positions_count_tokens,
        heads=int(config.num_attention_heads),
        eps=float(config.layer_norm_eps) if names.eps is None else names.eps,
        feed_forward=feed_forward,
        dropout=dropout,
    )


def _past_adapters(model: PreTrainedModel, layer: LayerNames) -> LayerNames:
    """Return a layer's names with those of the linear maps inside peft's modules."""

    def inner(name: str) -> str:
        return base_name(name, model.get_submodule(name))

    return replace(layer, query=inner(layer.query), value=inner(layer.value))
