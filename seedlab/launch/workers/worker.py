"""The worker process: takes pack after pack from the launcher until it hangs up.

It is started with two arguments: the file descriptor of its connection and the launcher's
process id. Heavy libraries are imported when the first work item needs them.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import cloudpickle

if TYPE_CHECKING:
    from seedlab.launch.executors.session import Session

# Seconds between two checks that the launcher is alive.
_WATCH_SECONDS = 0.5
ORPHANED = 113
"""exit status of a worker whose launcher is gone"""


class _HungUpError(ConnectionError):
    """The launcher hung up; a job's own connections fail with other errors."""


def main(arguments: Sequence[str]) -> None:
    """Serve the launcher at the other end of a connection.

    Parameters
    ----------
    arguments : (descriptor, process id of the launcher)
    """
    descriptor, launcher = int(arguments[0]), int(arguments[1])
    # A terminal sends Ctrl-C to the whole process group; the launcher ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    threading.Thread(target=_watch, args=(launcher,), daemon=True).start()
    connection = Connection(descriptor)
    # Without a launcher there is no more work.
    with contextlib.suppress(_HungUpError):
        session = _begin(connection)
        if session is not None:
            _serve(connection, session)


def _watch(launcher: int) -> None:
    """End this process at once when the launcher is gone (kill -9 included)."""
    while os.getppid() == launcher:
        time.sleep(_WATCH_SECONDS)
    os._exit(ORPHANED)


def _begin(connection: Connection) -> Session | None:
    """Take over the launcher's Hydra state and application; None where that fails."""
    from seedlab.compat.hydra_private import restore_singletons
    from seedlab.launch.workers.messages import Broken, Hello, Ready

    send = _sender(connection)
    send(Hello())
    search_path, packed_session = cloudpickle.loads(_receive(connection))
    sys.path[:] = search_path
    try:
        # Imports the application, so the search path has to be set before.
        session: Session = cloudpickle.loads(packed_session)
        restore_singletons(session.singletons)
        import seedlab.launch.executors.run_work  # noqa: F401  (import errors are reported below)
    except BaseException:
        send(Broken(traceback.format_exc()))
        return None
    send(Ready())
    return session


def _serve(connection: Connection, session: Session) -> None:
    """Run work items until the launcher hangs up."""
    from seedlab.launch.executors.run_work import run_work

    send = _sender(connection)
    try:
        while True:
            work = cloudpickle.loads(_receive(connection))
            send(run_work(work, session, emit=send))
    except _HungUpError:
        if not _only_our_code(session):
            raise
        # The results are on disk, and an orderly end of torch takes a second.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _only_our_code(session: Session) -> bool:
    """Return whether only seedlab's own code has run here, which needs no exit handlers.

    Callbacks and other applications may have open files, threads and exit handlers.
    """
    # Looked up, not imported: another application's worker has no need of it. A Hydra whose
    # callbacks lie elsewhere counts as one with callbacks.
    ours = getattr(sys.modules.get("seedlab.application.app"), "run", None)
    callbacks = getattr(session.hydra_context.callbacks, "callbacks", True)
    return session.task_function is ours and not callbacks


def _receive(connection: Connection) -> bytes:
    try:
        return connection.recv_bytes()
    except (EOFError, ConnectionError) as error:
        raise _HungUpError from error


def _sender(connection: Connection) -> Callable[[object], None]:
    # Events may come from a thread of the engine.
    lock = threading.Lock()

    def send(message: object) -> None:
        packed = cloudpickle.dumps(message)
        try:
            with lock:
                connection.send_bytes(packed)
        except ConnectionError as error:
            raise _HungUpError from error

    return send
