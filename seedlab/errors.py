"""The errors that seedlab raises on purpose.

Each message names the setting, its value, the allowed ones and the remedy.

Only these classes are refusals. None of them derives from `ValueError`: `except ValueError` around
a call of a library can't swallow a refusal, and a library's `ValueError` is no refusal.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeedlabError(Exception):
    """The root of every refusal; its message is meant to be read by the user.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line: 2 for a refusal, 1 for a run that failed.
    """

    exit_code = 2


class CorruptRunError(SeedlabError):
    """A run folder that is half written or damaged; it is set aside and trained again."""


class LostError(SeedlabError):
    """A study or a run that somebody removed, renamed or replaced while a command used it."""


class RunFailedError(SeedlabError):
    """A run that raised while it was trained; the traceback is in its notes."""

    exit_code = 1


class WorkerDiedError(SeedlabError):
    """A run whose worker process died at every attempt, while it trained that run alone."""

    exit_code = 1


def mark_reported(error: BaseException) -> None:
    """Note that the traceback of an error was printed; another process sent it."""
    error.__dict__["reported_by_seedlab"] = True


def was_reported(error: BaseException) -> bool:
    """Return whether the traceback of an error was printed."""
    return "reported_by_seedlab" in error.__dict__


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint with the allowed name that is closest to `name`, or nothing.

    Parameters
    ----------
    name : str
        The name that the user wrote.
    allowed : iterable of str
        All names that are accepted.

    Returns
    -------
    str
        ``" Did you mean 'x'?"`` (with the leading blank) or the empty string.
    """
    matches = difflib.get_close_matches(name, list(allowed), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on the CPU or on a GPU.

    torch is not imported for it: its `OutOfMemoryError` is known by name, and its CPU allocator
    raises a plain `RuntimeError`.
    """
    return (
        isinstance(error, MemoryError)
        or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY))
    )


_NO_MEMORY = (
    "can't allocate memory",  # torch's allocator on a CPU
    "CUBLAS_STATUS_ALLOC_FAILED",  # cuBLAS allocates memory of its own
    "CUDNN_STATUS_ALLOC_FAILED",
    # An allocation that fails while a graph is captured ends the capture, and this is the error.
    "operation failed due to a previous error during capture",
)
"""Parts of messages of plain `RuntimeError` that say that memory ran out."""
