"""The errors that seedlab raises on purpose: each says what, got, allowed and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeedlabError(ValueError):
    """The root of every refusal; its message is meant to be read by the user.

    Attributes
    ----------
    exit_code : int
        Of the command line: 2 for a refusal, 1 for something that ran and failed.
    """

    exit_code = 2


class CorruptRunError(SeedlabError):
    """A run folder that is half written or damaged; it is set aside and trained again."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint naming the allowed word that is closest to `name`, or nothing.

    Parameters
    ----------
    name : str
        What the user wrote.
    allowed : iterable of str
        The words that would have been accepted.

    Returns
    -------
    str
        ``" Did you mean 'x'?"`` (with the leading blank) or the empty string.
    """
    matches = difflib.get_close_matches(name, list(allowed), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""


class RunFailedError(SeedlabError):
    """A run that raised while it was trained; the traceback is in its notes."""

    exit_code = 1


class WorkerDiedError(SeedlabError):
    """A run whose worker process died, alone with it, as often as it was tried."""

    exit_code = 1
