"""Low-rank updates (LoRA: Hu et al. 2022) of the query and value maps.

A map's weight becomes ``W + alpha / rank * B A`` with W frozen. peft computes it. The init
stream is keyed by seedlab's own names of A and B, which do not depend on peft's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from seedlab.compat.peft_private import low_rank_update, plain_name, update_names
from seedlab.errors import SeedlabError
from seedlab.models.depth import layers_of
from seedlab.randomness.streams import normal

QUERIES = ("query", "q_lin", "q_proj", "query_proj", "q")
"""Names of the query map inside a layer, by architecture."""
VALUES = ("value", "v_lin", "v_proj", "value_proj", "v")
"""Names of the value map inside a layer, by architecture."""

_ADAPTER = "default"


class LoraOptions(NamedTuple):
    """Rank and scale of the low-rank updates.

    Parameters
    ----------
    rank : int
        At least 1.
    alpha : float
        Updates are scaled by alpha / rank.
    """

    rank: int
    alpha: float


def target_modules(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the module names of the query and value maps, the lowest layer first.

    They are the linear maps inside the encoder's layers whose own name is one of `QUERIES` or
    `VALUES`: ``query`` and ``value`` in BERT, RoBERTa and ELECTRA, ``q_lin`` and ``v_lin`` in
    DistilBERT, ``query_proj`` and ``value_proj`` in DeBERTa, ``q`` and ``v`` in MPNet.

    Raises
    ------
    SeedlabError
        When a layer does not have exactly one of each.
    """
    found: list[str] = []
    for layer in layers_of(model):
        maps = {
            name: name.rpartition(".")[2]
            for name, module in model.get_submodule(layer).named_modules(prefix=layer)
            if isinstance(module, nn.Linear)
        }
        for allowed in (QUERIES, VALUES):
            here = [name for name, leaf in maps.items() if leaf in allowed]
            if len(here) != 1:
                raise SeedlabError(
                    f"recipe.adapter.method=lora needs one linear map per layer called "
                    f"{', '.join(allowed[:-1])} or {allowed[-1]}, and {layer} of "
                    f"{type(model).__name__} has {len(here)} (its linear maps are "
                    f"{', '.join(maps.values()) or 'none'}); use recipe.adapter.method=bitfit or "
                    "none, or another architecture, such as BERT, RoBERTa, DistilBERT, DeBERTa-v3."
                )
            found += here
    return tuple(found)


def names(module: str) -> tuple[str, str]:
    """Return seedlab's names of a map's A and B, which key the init stream."""
    return f"{module}.lora_A.weight", f"{module}.lora_B.weight"


def initial_a(module: str, rank: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the initial A of a run. The initial B is 0, so the first output is that of W.

    Parameters
    ----------
    module : str
        Name of the map.
    rank, width : int
        Rows and columns of A; `width` is the number of the map's input features.
    seed : int
        The init seed.

    Returns
    -------
    (rank, width) array of float64
        Normal with mean 0 and standard deviation 1 / rank, like peft's ``gaussian``.
    """
    return normal(seed, names(module)[0], (rank, width)) / rank


def inject(model: PreTrainedModel, low_rank: LoraOptions) -> tuple[str, ...]:
    """Add low-rank updates of 0 to the query and value maps of a model, in place, with peft.

    Returns
    -------
    tuple of str
        Module names of the maps.

    Raises
    ------
    SeedlabError
        When peft is not installed, or the model lacks such maps.
    """
    maps = target_modules(model)
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise SeedlabError(
            "recipe.adapter.method=lora needs the package peft, which is not installed; install it "
            "with pip install 'seedlab[lora]', or use recipe.adapter.method=bitfit or none."
        ) from error
    config = LoraConfig(
        r=low_rank.rank,
        lora_alpha=low_rank.alpha,  # type: ignore[arg-type]  # it divides, whatever its type
        target_modules=list(maps),
        lora_dropout=0.0,
    )
    # peft draws A from the global generator. It is forked here, and every run overwrites A.
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, model, _ADAPTER)
    for module in maps:
        for name in peft_names(module):
            model.get_parameter(name).detach().zero_()
    return maps


def peft_names(module: str) -> tuple[str, str]:
    """Return peft's names of the parameters A and B of a map."""
    return update_names(module, _ADAPTER)


def initialise_updates(model: nn.Module, maps: Sequence[str], seed: int) -> None:
    """Set A of all maps to its initial value, in place; B must be 0, as after `inject`."""
    with torch.no_grad():
        for module in maps:
            a = model.get_parameter(peft_names(module)[0])
            a.copy_(torch.from_numpy(initial_a(module, a.shape[0], a.shape[1], seed)))


def merged_state_dict(model: nn.Module, maps: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the tensors of the model without adapters: updates are added to the weights.

    A merged weight is rounded once more than the two products that it replaces. So its logits
    equal the model's up to rounding errors, not bit for bit.
    """
    own = {name for module in maps for name in peft_names(module)}
    state = {
        plain_name(name): tensor for name, tensor in model.state_dict().items() if name not in own
    }
    for module in maps:
        name = f"{module}.weight"
        state[name] = state[name] + low_rank_update(model.get_submodule(module), _ADAPTER)
    return state


@torch.no_grad()
def set_merged(
    model: nn.Module, maps: Sequence[str], tensor_of: Callable[[str], torch.Tensor]
) -> None:
    """Set the tensors of the model to merged ones; the low-rank updates become 0.

    Parameters
    ----------
    model : torch.nn.Module
    maps : sequence of str
        Module names of the maps with low-rank updates.
    tensor_of : callable
        Returns the tensor of a name that `merged_state_dict` uses. It is called once per tensor,
        so that a mixture of models needs no memory for a whole model.
    """
    own = {name for module in maps for name in peft_names(module)}
    done: set[int] = set()
    for name, tensor in model.state_dict().items():
        if name in own:
            tensor.zero_()
        elif tensor.data_ptr() not in done:
            # Tied weights have several names, and `tensor_of` may read the model's own.
            done.add(tensor.data_ptr())
            tensor.copy_(tensor_of(plain_name(name)))
