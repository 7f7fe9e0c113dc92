"""The original command line, quoted so that it can be pasted into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_given: ContextVar[tuple[str, ...]] = ContextVar("given", default=())


@contextmanager
def given(arguments: Sequence[str]) -> Iterator[None]:
    """Remember the arguments of seedlab's command line inside the block.

    Hydra gets other arguments in `sys.argv`: they are rewritten and may name another study.

    Parameters
    ----------
    arguments : sequence of str
        The verb and the words after it.
    """
    token = _given.set((*program(), *arguments))
    try:
        yield
    finally:
        _given.reset(token)


def command() -> str:
    """Return the command line as it can be pasted into a shell.

    Outside `given`, for other applications, it is the process's own.
    """
    return shlex.join(_given.get() or sys.orig_argv)


def program() -> list[str]:
    """Return the program: ``seedlab`` where a shell finds it by that name, or its path."""
    start = Path(sys.argv[0])
    if start.name == "__main__.py":
        return [sys.orig_argv[0], "-m", "seedlab"]
    found = shutil.which("seedlab")
    called_by_path = start.name == "seedlab" and (found is None or Path(found) != start)
    return [str(start)] if called_by_path else ["seedlab"]
