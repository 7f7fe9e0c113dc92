"""The serial engine: the conformance suite."""

from __future__ import annotations

from seedlab.engines.engine import Engine
from seedlab.engines.serial.engine import SerialEngine
from tests.suites.engine import EngineSuite


class TestSerialEngine(EngineSuite):
    """See `EngineSuite`."""

    def engine(self) -> Engine:
        return SerialEngine()
