"""`WorkerProcess`: the launcher's end of one worker, its connection and its output."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import cloudpickle

from seedlab.launch.jobs.slots import Slot
from seedlab.launch.workers.exit_status import describe_exit
from seedlab.launch.workers.machine_slots import DEFAULTS, environment
from seedlab.launch.workers.messages import Message

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
# The package is found through the last entry of the path, so that nothing beside it can
# shadow the standard library; the launcher's own path arrives with the session.
_START = (
    "import sys; sys.path.append(sys.argv[3]); "
    "from seedlab.launch.workers.worker import main; main(sys.argv[1:3])"
)
# Enough for the stack that faulthandler writes for a lone run, innermost call first.
_TAIL_LINES = 40
_END_SECONDS = 5.0


class WorkerProcess:
    """One worker process.

    Parameters
    ----------
    slot : Slot
        Its place; the environment is set before the interpreter starts.
    """

    def __init__(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair()
        arguments = (theirs.fileno(), os.getpid(), _PACKAGE_ROOT)
        with theirs:
            self._process = subprocess.Popen(
                # -P: the working directory is not searched for modules; -u: output comes at once.
                [sys.executable, "-P", "-u", "-c", _START, *map(str, arguments)],
                env={**DEFAULTS, **os.environ, **environment(slot)},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        self.connection = Connection(ours.detach())
        self.started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        streams = (self._process.stdout, self._process.stderr)
        self.outputs = [Output(stream.fileno(), self._tail) for stream in streams if stream]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Return whether the process is running."""
        return self._process.poll() is None

    def send(self, message: object) -> None:
        """Send a message; a dead worker shows when its end of the connection is read."""
        self.send_packed(cloudpickle.dumps(message))

    def send_packed(self, packed: bytes) -> None:
        """Send a pickled message."""
        try:
            self.connection.send_bytes(packed)
        except OSError:
            # BrokenPipe: the end of the connection is read next, with the exit status.
            return

    def receive(self) -> Message | None:
        """Return the next message; None when the worker is gone."""
        try:
            return cast("Message", cloudpickle.loads(self.connection.recv_bytes()))
        except (EOFError, OSError):
            return None

    def reap(self) -> str:
        """Wait for a worker that hung up, and return its end as text."""
        try:
            code: int | None = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.stop()
        return describe_exit(code)

    def hang_up(self) -> None:
        """Close the connection, which ends an idle worker."""
        self.connection.close()

    def stop(self, patience: float = 0.0) -> None:
        """End the process after `patience` seconds: results are written atomically."""
        for seconds, end in (
            (patience, self._process.terminate),
            (_END_SECONDS, self._process.kill),
            (None, None),
        ):
            try:
                self._process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                if end is not None:
                    end()
        self.connection.close()

    def tail(self) -> str:
        """Return the last lines of its output."""
        return "\n".join(self._tail)

    def close_outputs(self) -> None:
        """Close the pipes."""
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        self.outputs = []


class Output:
    """A pipe that a worker writes lines to.

    Parameters
    ----------
    descriptor : int
    tail : deque of str
        Gets every line as well.
    """

    def __init__(self, descriptor: int, tail: deque[str]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""
        self._tail = tail
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor, for waiting on it."""
        return self._descriptor

    def lines(self) -> Sequence[str]:
        """Return the new lines; at the end of the output also a last line without its newline."""
        chunks = [self._rest]
        while not self.ended:
            try:
                chunk = os.read(self._descriptor, 65536)
            except BlockingIOError:
                break
            self.ended = not chunk
            chunks.append(chunk)
        *whole, self._rest = b"".join(chunks).split(b"\n")
        if self.ended and self._rest:
            whole.append(self._rest)
            self._rest = b""
        lines = [line.decode(errors="replace").rstrip("\r") for line in whole]
        self._tail.extend(lines)
        return lines
