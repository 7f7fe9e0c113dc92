"""The end of a command that raised: its text on standard error and its exit code."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata

from seedlab.errors import SeedlabError, is_out_of_memory, was_reported
from seedlab.printable import printable

DEBUG = "--debug"
"""The flag that prints the traceback of a refusal, before or after the verb."""
FAILED = 1
REFUSED = 2
INTERNAL = 70
"""``EX_SOFTWARE`` of sysexits.h: an error in seedlab itself."""
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells count."""


def wants_debug(arguments: Sequence[str]) -> bool:
    """Return whether ``--debug`` is among the arguments, or ``SEEDLAB_DEBUG`` is set (and not 0)."""
    return DEBUG in arguments or os.environ.get("SEEDLAB_DEBUG", "0") not in ("", "0")


def end(error: BaseException, arguments: Sequence[str], *, debug: bool) -> int:
    """Report an error that ended a command and return the exit code.

    A refusal (`SeedlabError`) is one line. So is an error of the operating system that names a
    place, and memory that ran out. Everything else is an error in seedlab: it is printed with its
    traceback, unless that was printed before, and a request to report it. A `ValueError` is no exception to that: libraries raise
    it for anything, and only seedlab's own classes are refusals.

    Parameters
    ----------
    error : BaseException
    arguments : sequence of str
        The command line after the program's name.
    debug : bool
        Print the traceback in every case.

    Returns
    -------
    int
        An exit code; `docs/how-to/run-safely.md` lists them.
    """
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe has closed it: nothing more can be printed.
        sys.stderr.close()
        return FAILED
    found = _one_line(error)
    if debug or (found is None and not was_reported(error)):
        sys.stderr.write("".join(traceback.format_exception(error)))
    if found is None:
        sys.stderr.write(_report_request(arguments))
        return INTERNAL
    line, code = found
    if line:
        sys.stderr.write(f"seedlab: {printable(line)}\n")
    return code


def _one_line(error: BaseException) -> tuple[str, int] | None:
    """Return the text and the exit code of an error that is not seedlab's own fault."""
    if isinstance(error, SeedlabError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "", INTERRUPTED
    if is_out_of_memory(error):
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        # The packed engine's own error names the remedy itself.
        if "engine.width" in text:
            return text, FAILED
        return f"memory ran out ({text}); use a smaller engine.width or fewer workers.", FAILED
    if isinstance(error, OSError):
        from seedlab.store.writable import explain

        explained = explain(error)
        return None if explained is None else (explained, REFUSED)
    return None


def _report_request(arguments: Sequence[str]) -> str:
    from seedlab.store.provenance import versions

    used = ", ".join(f"{name} {version}" for name, version in (versions() | _others()).items())
    return (
        "\nseedlab: this is an error in seedlab, not in your command. Please report it, with this "
        "text, to the maintainers.\n"
        f"command: {shlex.join(['seedlab', *arguments])}\n"
        f"versions: {used}\n"
    )


def _others() -> dict[str, str]:
    """Return versions that decide no bits, so that records do not hold them."""
    return {name: metadata.version(name) for name in ("pandas", "hydra-core", "optuna")}
