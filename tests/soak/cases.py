"""Cases of the soak suites: their kinds, and running each in a process of its own."""

from __future__ import annotations

import json
import shutil
import sys
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from types import ModuleType

from tests.soak.checks import CONTEXT

KINDS = ("kills", "damages", "tables", "task_files")


@dataclass(frozen=True)
class Result:
    """The outcome of one case. `message` is empty if nothing was lost."""

    kind: str
    seed: int
    label: str
    seconds: float
    ok: bool
    message: str


def kind_module(kind: str) -> ModuleType | None:
    """The module `tests.soak.KIND`, or None if it is not there."""
    name = f"tests.soak.{kind}"
    return import_module(name) if find_spec(name) else None


def remaining(kinds: Iterable[str], results: Iterable[Result]) -> list[tuple[str, int]]:
    """The full set of (kind, seed), without the cases that have passed."""
    passed = {(result.kind, result.seed) for result in results if result.ok}
    cases = []
    for kind in kinds:
        module = kind_module(kind)
        if module is None:
            print(f"{kind}: there is no module tests.soak.{kind}", file=sys.stderr)
            continue
        cases += [(kind, seed) for seed in range(module.FULL) if (kind, seed) not in passed]
    return cases


def run_case(kind: str, seed: int, folder: Path) -> Result:
    """Run one case in an empty `folder` and a process of its own, so that it may crash."""
    folder.mkdir(parents=True)
    receiver, sender = CONTEXT.Pipe(duplex=False)
    started = time.monotonic()
    process = CONTEXT.Process(target=_case, args=(kind, seed, str(folder), sender))
    process.start()
    sender.close()
    try:
        label, message = receiver.recv()
    except EOFError:
        process.join()
        label, message = "the case itself died", f"exit code {process.exitcode}"
    process.join()
    return Result(kind, seed, label, round(time.monotonic() - started, 2), not message, message)


def run_cases(
    cases: Iterable[tuple[str, int]], into: Path, results: Path, *, workers: int = 1
) -> None:
    """Run cases, `workers` at a time, and append one JSON line per case to `results`.

    The folder of a case that failed is kept in `into`.
    """
    lock = Lock()

    def one(case: tuple[str, int]) -> None:
        kind, seed = case
        folder = into / f"{kind}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        result = run_case(kind, seed, folder)
        if result.ok:
            shutil.rmtree(folder, ignore_errors=True)
        with lock, results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
            end = "ok" if result.ok else "FAILED"
            print(f"{kind} {seed}: {end} ({result.label}, {result.seconds:.1f} s)", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, cases))


def _case(kind: str, seed: int, folder: str, sender: Connection) -> None:
    module = kind_module(kind)
    assert module is not None
    try:
        sender.send((module.run_case(seed, Path(folder)), ""))
    except AssertionError as error:
        sender.send((getattr(error, "label", "failed"), str(error) or traceback.format_exc()))
    except BaseException as error:
        sender.send((getattr(error, "label", "failed"), traceback.format_exc()))
