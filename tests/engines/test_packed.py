"""The packed engine through the conformance suite, and what it alone must do."""

from __future__ import annotations

from typing import Any

from seedlab.engines.packed import PackedEngine
from tests.suites.engine import EngineSuite


class TestPackedEngine(EngineSuite):
    """See `EngineSuite`."""

    def engine(self) -> Any:
        return PackedEngine()


class TestPackedEngineInOneStack(EngineSuite):
    """The stacked kernels, as a GPU takes them."""

    def engine(self) -> Any:
        return PackedEngine(stack=100)
