"""`canary`: checks of what a wrapper in `seedlab/compat` relies on, with a message that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version


@contextmanager
def canary(library: str, wrapper: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one message for the reader of a failed test.

    Parameters
    ----------
    library : str
        Name of the distribution whose private interface is wrapped.
    wrapper : str
        ``module.function`` in `seedlab.compat`.
    """
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise AssertionError(
            f"{library} {version(library)} no longer does what seedlab.compat.{wrapper} relies on "
            f"({type(error).__name__}: {reason}); adapt the wrapper, or lower the cap of {library} "
            "in pyproject.toml."
        ) from error
