"""Canaries of the names that peft gives to modules and parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seedlab.compat import peft_private
from tests.suites.canary import canary


@pytest.fixture
def model() -> nn.Module:
    """Return a model whose map ``query`` has a low-rank update of rank 2."""
    peft = pytest.importorskip("peft")
    with torch.random.fork_rng(devices=[]):
        plain = nn.ModuleDict({"query": nn.Linear(4, 3), "key": nn.Linear(4, 3)})
        config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["query"])
        peft.inject_adapter_in_model(config, plain, "mine")
    return plain


def test_the_names_of_an_update(model: nn.Module) -> None:
    with canary("peft", "peft_private.update_names"):
        a, b = peft_private.update_names("query", "mine")
        assert model.get_parameter(a).shape == (2, 4)
        assert model.get_parameter(b).shape == (3, 2)


def test_the_names_of_a_map(model: nn.Module) -> None:
    with canary("peft", "peft_private.base_name"):
        name = peft_private.base_name("query", model.get_submodule("query"))
        assert isinstance(model.get_submodule(name), nn.Linear)
        assert peft_private.base_name("key", model.get_submodule("key")) == "key"
    with canary("peft", "peft_private.plain_name"):
        assert peft_private.plain_name(name) == "query"
        own = set(peft_private.update_names("query", "mine"))
        names = {peft_private.plain_name(n) for n, _ in model.named_parameters() if n not in own}
        assert names == {"query.weight", "query.bias", "key.weight", "key.bias"}


def test_the_update_of_a_weight(model: nn.Module) -> None:
    """``alpha / rank * B A``, with alpha 6 and rank 2."""
    with canary("peft", "peft_private.low_rank_update"), torch.no_grad():
        a, b = (model.get_parameter(n) for n in peft_private.update_names("query", "mine"))
        b.copy_(torch.arange(6.0).reshape(3, 2))
        found = peft_private.low_rank_update(model.get_submodule("query"), "mine")
        torch.testing.assert_close(found, 3.0 * b @ a)
