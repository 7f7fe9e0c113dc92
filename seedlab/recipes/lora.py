"""Low-rank updates (LoRA: Hu et al. 2022) of the query and value maps.

A map's weight becomes ``W + alpha / rank * B A`` with W frozen. The names of A and B, by which
the init stream is keyed, are the same whatever library computes with them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn
from transformers import PreTrainedModel

from seedlab.errors import SeedlabError
from seedlab.models.depth import layers_of
from seedlab.seeds import normal

QUERIES = ("query", "q_lin", "q_proj", "query_proj")
VALUES = ("value", "v_lin", "v_proj", "value_proj")
"""What architectures call the query and value maps, inside a layer."""


def targets(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the module names of the query and value maps, the lowest layer first.

    They are the linear maps inside the encoder's layers whose own name is one of `QUERIES` or
    `VALUES`: ``query`` and ``value`` in BERT, RoBERTa and ELECTRA, ``q_lin`` and ``v_lin`` in
    DistilBERT, ``query_proj`` and ``value_proj`` in DeBERTa.

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
    """Return the names of a map's A and B."""
    return f"{module}.lora_A.weight", f"{module}.lora_B.weight"


def first(module: str, rank: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the A that a run starts with; its B is 0, so that the first output is W's.

    Parameters
    ----------
    module : str
        Name of the map.
    rank, width : int
        Rows, and columns: the map's input features.
    seed : int
        The init seed.

    Returns
    -------
    (rank, width) array of float64
        Normal with mean 0 and standard deviation 1 / rank, as peft's ``gaussian``.
    """
    return normal(seed, names(module)[0], (rank, width)) / rank
