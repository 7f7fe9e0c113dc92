"""The command that the user gave, in the words that give it again."""

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
    """Remember for a while that seedlab's command line was given with these arguments.

    What Hydra gets in `sys.argv` has been rewritten by then, and may mean another study.

    Parameters
    ----------
    arguments : sequence of str
        The verb and what follows it.
    """
    token = _given.set((*_program(), *arguments))
    try:
        yield
    finally:
        _given.reset(token)


def command() -> str:
    """Return the command as it can be pasted into a shell; another application's, too."""
    return shlex.join(_given.get() or sys.orig_argv)


def _program() -> list[str]:
    """Return how seedlab was called: by its name wherever a shell finds it so."""
    start = Path(sys.argv[0])
    if start.name == "__main__.py":
        return [sys.orig_argv[0], "-m", "seedlab"]
    found = shutil.which("seedlab")
    called_by_path = start.name == "seedlab" and (found is None or Path(found) != start)
    return [str(start)] if called_by_path else ["seedlab"]
