"""Launches a small cohort whose parent kills a process: ``python stopping_stage.py MOMENT ARGS``.

Moments: ``undecided`` and ``decided`` end this process (kill -9) before and after the decision is
on file; ``workers`` kills the idle workers while the decision is made; ``training`` kills
one worker as soon as it trains a run after the decision.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from seedlab.commands.cli import main
from seedlab.early_stopping import cohort
from seedlab.launch.workers import pool


def children() -> list[int]:
    """Return the ids of the processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def kill(moment: str) -> None:
    """Arrange for the kill."""
    decide, handle = cohort.Cohort._decide, pool.LocalExecutor._handle
    armed = []

    def decided(self: Any, *arguments: Any) -> Any:
        if moment == "undecided":
            os.kill(os.getpid(), signal.SIGKILL)
        found = decide(self, *arguments)
        if moment == "decided":
            os.kill(os.getpid(), signal.SIGKILL)
        if moment == "workers":
            for pid in children():
                os.kill(pid, signal.SIGKILL)
        armed.append(moment == "training")
        return found

    def handled(self: Any, worker_slot: Any, worker: Any, message: Any) -> None:
        handle(self, worker_slot, worker, message)
        if armed == [True] and getattr(message, "kind", "") == "evaluated":
            armed.clear()
            os.kill(worker.pid, signal.SIGKILL)

    cohort.Cohort._decide = decided  # type: ignore[method-assign]
    pool.LocalExecutor._handle = handled  # type: ignore[method-assign]


if __name__ == "__main__":
    kill(sys.argv[1])
    sys.exit(main(["run", *sys.argv[2:]]))
