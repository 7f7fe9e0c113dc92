"""Ctrl-C and SIGTERM during a launch: workers end, and the command to continue is printed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seedlab.launch.repeat_command import command

TERMINATED = 128 + signal.SIGTERM
"""exit status after SIGTERM, as shells and schedulers report it"""


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """Print how to continue when the block is left by Ctrl-C or SIGTERM.

    SIGTERM raises `SystemExit` (status 143) inside the block, so that it is left in order. A second
    SIGTERM ends the process at once; its workers notice that and end themselves. An application's
    own SIGTERM handler stays in place.

    Parameters
    ----------
    advice : str
        Text before the command: the results that are kept, and how to continue.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.
    SystemExit
        On SIGTERM.
    """
    # Python allows handlers in the main thread alone.
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, KeyboardInterrupt) or stop.code == TERMINATED:
            word = "Interrupted" if isinstance(stop, KeyboardInterrupt) else "Terminated"
            sys.stderr.write(f"\n{word}. {advice} with the same command:\n  {command()}\n")
            sys.stderr.flush()
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise SystemExit(TERMINATED)
