"""Canaries of what seedlab relies on in transformers beyond its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from seedlab.compat import transformers_private
from tests.suites.architecture import stated_parameters
from tests.suites.canary import canary
from tests.suites.tiny import ARCHITECTURES, tiny_checkpoint, tiny_weights

NAME = "seedlab_canary"
CALLS: list[dict[str, Any]] = []


def attend(module: nn.Module, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
    CALLS.append({"mask": mask, "dropout": more.get("dropout"), "scaling": more.get("scaling")})
    return torch.zeros_like(query).transpose(1, 2), None


def load(folder: Path, architecture: str) -> Any:
    path = tiny_checkpoint(folder / architecture, architecture)
    return transformers.AutoModelForSequenceClassification.from_pretrained(path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_is_replaced(architecture: str, tmp_path: Path) -> None:
    """The registered function computes every layer, and gets additive masks and its dropout."""
    with torch.random.fork_rng(devices=[]):
        model = load(tmp_path, architecture)
    with canary("transformers", "transformers_private.register_attention"):
        transformers_private.register_attention(NAME, attend)
    with canary("transformers", "transformers_private.use_attention"):
        transformers_private.use_attention(model, NAME)
        ids = torch.full((2, 4), 5)
        CALLS.clear()
        model.eval()(input_ids=ids, attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
        assert len(CALLS) == 2, f"{len(CALLS)} of 2 layers called it"
        mask = CALLS[0]["mask"]
        assert mask.is_floating_point()
        assert mask.shape == (2, 1, 4, 4) or mask.shape == (2, 1, 1, 4)
        assert (mask[0] == 0.0).all()
        assert (mask[1, ..., 2:] < -1e30).all()
        CALLS.clear()
        with torch.random.fork_rng(devices=[]):
            model.train()(input_ids=ids, attention_mask=torch.ones_like(ids))
        assert CALLS[0]["dropout"] == pytest.approx(0.1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_class_names(architecture: str, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        model = load(tmp_path, architecture)
    with canary("transformers", "transformers_private.own_class_name"):
        name = transformers_private.own_class_name(model)
        assert name is not None
        assert name.lower() == f"{architecture}forsequenceclassification"


def test_a_class_of_other_code_has_no_name_here(tmp_path: Path) -> None:
    class BertForSequenceClassification(transformers.BertForSequenceClassification):
        """Bears a known name, and may compute anything."""

    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    with torch.random.fork_rng(devices=[]):
        model = BertForSequenceClassification(config)
    assert transformers_private.own_class_name(model) is None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_module_names(architecture: str, tmp_path: Path) -> None:
    """Every name that the packed engine states is a parameter or module of the model."""
    model = tiny_weights(tmp_path, architecture).model
    with canary("transformers", "transformers_private.own_class_name (module names)"):
        assert stated_parameters(model) == {name for name, _ in model.named_parameters()}
