"""How a pack is computed: the registry of engines. The serial engine is the specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedlab.engines.engine import Engine


# An engine is imported when it is first used: configuration needs the names alone.
def _serial() -> type[Engine]:
    from seedlab.engines.serial.engine import SerialEngine

    return SerialEngine


def _packed() -> type[Engine]:
    from seedlab.engines.packed.engine import PackedEngine

    return PackedEngine


ENGINES: Mapping[str, Callable[[], type[Engine]]] = {"serial": _serial, "packed": _packed}
"""Functions that return an engine's class, by the value of `engine.name` that selects it."""
