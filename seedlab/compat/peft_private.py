"""Names that peft gives to modules and parameters. This module imports no library.

peft replaces a linear map by a module that holds the map as ``base_layer`` and its low-rank
update as ``lora_A`` and ``lora_B``.
"""

from __future__ import annotations

from typing import Any

_BASE = "base_layer"


def update_names(module: str, adapter: str) -> tuple[str, str]:
    """Return the names of the parameters A and B of a map.

    Parameters
    ----------
    module : str
        Name of the map before peft replaced it.
    adapter : str
        Name of the adapter.
    """
    return f"{module}.lora_A.{adapter}.weight", f"{module}.lora_B.{adapter}.weight"


def base_name(name: str, module: Any) -> str:
    """Return the name of a linear map: inside peft's module where it replaced the map.

    Parameters
    ----------
    name : str
        Name of the map before peft replaced it.
    module : torch.nn.Module
        The module of this name now.
    """
    return f"{name}.{_BASE}" if hasattr(module, _BASE) else name


def plain_name(name: str) -> str:
    """Return the name that a module, parameter or buffer had before peft replaced its map."""
    return name.replace(f".{_BASE}.", ".").removesuffix(f".{_BASE}")


def low_rank_update(module: Any, adapter: str) -> Any:
    """Return the update that a replaced map adds to its weight: an (output, input) tensor."""
    return module.get_delta_weight(adapter)
