"""Commands of the soak suites, each in a process of its own, and what must be true of their ends."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
"""Processes start from a server that has imported seedlab, so a command costs no imports."""

CONTEXT.set_forkserver_preload(["tests.soak.preload"])

LONGEST_REFUSAL = 1500
"""Characters of a refusal. A longer one prints the file that it refuses."""


_CONTROLS = {chr(code) for code in range(160) if not 32 <= code < 127} - set("\n\t\r")


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its arguments, exit code (negative for a signal) and output."""

    arguments: tuple[str, ...]
    code: int
    output: str

    def __str__(self) -> str:
        shown = self.output if len(self.output) <= 4000 else f"{self.output[:4000]} ..."
        return f"seedlab {' '.join(self.arguments)}\nexit code {self.code}\n{shown}"


def seedlab(*arguments: str, folder: Path, timeout: float = 300.0) -> Ended:
    """Run `seedlab ARGUMENTS` in `folder`, in a new process. It must neither crash nor hang."""
    output = folder.parent / f"{folder.name}.output"
    # A case is a process of the server's and has no threads, so that it may fork.
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_main, args=(arguments, str(folder), str(output)))
    process.start()
    process.join(timeout)
    hung = process.is_alive()
    if hung:
        process.kill()
        process.join()
    ended = Ended(arguments, process.exitcode or 0, _text_of(output))
    output.unlink(missing_ok=True)
    shutil.rmtree(_cache_of(output), ignore_errors=True)
    assert not hung, f"no end within {timeout:.0f} s: {ended}"
    assert_no_crash(ended)
    return ended


def assert_no_crash(ended: Ended) -> None:
    """Assert that no traceback was printed, and that the command did not die by a signal."""
    assert "Traceback (most recent call last)" not in ended.output, f"a traceback: {ended}"
    assert ended.code != 70, f"exit code 70: {ended}"
    assert ended.code >= 0, f"died by {signal.Signals(-ended.code).name}: {ended}"


def assert_done(ended: Ended) -> None:
    """Assert that a command succeeded."""
    assert ended.code == 0, f"refused, but the input is sound: {ended}"


def assert_refused(ended: Ended) -> None:
    """Assert that a command ended with one short message that holds a remedy."""
    assert ended.code == 2, f"not refused: {ended}"
    lines = ended.output.strip().splitlines()
    # Hydra's own line, before the refusal of a single run.
    said = "\n".join(x for x in lines if not x.startswith("Error executing job with overrides"))
    assert said, f"refused without a word: {ended}"
    assert len(said) <= LONGEST_REFUSAL, f"a refusal of {len(said)} characters: {ended}"
    assert said.count("\n") <= 6, f"a refusal of {said.count(chr(10)) + 1} lines: {ended}"
    # What was wrong, then what to do: two clauses at least.
    assert any(mark in said for mark in (";", ". ", ".\n")), f"no remedy: {ended}"
    raw = {c for c in said if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"}
    assert not raw, f"control characters {sorted(map(ascii, raw))} on the terminal: {ended}"


def files_in(folder: Path) -> set[str]:
    """Paths of everything in a folder, relative to it; folders included."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def assert_shown_as_text(page: Path) -> None:
    """Assert that no control character reached a page, a figure or a file's name."""
    for path in page.rglob("*"):
        assert path.name.isascii(), f"a file's name: {path.name!r}"
        assert path.name.isprintable(), f"a file's name: {path.name!r}"
        if path.suffix in (".html", ".svg", ".json"):
            raw = set(path.read_text(encoding="utf-8")) & _CONTROLS
            assert not raw, f"{path.name} holds {sorted(map(ascii, raw))}"


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Give an error the label of its case, under which the table counts it."""
    try:
        yield
    except BaseException as error:
        error.label = label  # type: ignore[attr-defined]
        raise


def _main(arguments: Sequence[str], folder: str, output: str) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["SEEDLAB_CACHE"] = str(_cache_of(Path(output)))
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", line_buffering=True)
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), "utf-8", errors="backslashreplace", line_buffering=True
    )
    from seedlab.commands.cli import main

    sys.exit(main(arguments))


def _cache_of(output: Path) -> Path:
    return output.with_suffix(".cache")


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
