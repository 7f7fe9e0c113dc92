"""The end of a worker process, as text."""

from __future__ import annotations

import signal

_LIKELY = {
    "SIGKILL": "often the system's out-of-memory killer",
    "SIGSEGV": "a crash inside a library",
    "SIGBUS": "a crash inside a library, or a full disk or shared memory",
    "SIGABRT": "a library gave up",
}


def describe_exit(code: int | None) -> str:
    """Return the end of a process as text, from its return code (negative: the signal)."""
    if code is None:
        return "ended its connection and hung"
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}"
    hint = f" ({_LIKELY[name]})" if name in _LIKELY else ""
    return f"was killed by {name}{hint}"
