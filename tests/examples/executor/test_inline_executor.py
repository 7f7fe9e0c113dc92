"""The example executor keeps the contract of all executors."""

from __future__ import annotations

from tests.suites.executor import ExecutorSuite


class TestInlineExecutor(ExecutorSuite):
    """Its runs share the launcher's process."""

    executor = "tests.examples.executor.inline:InlineExecutor"
    isolated = False
