"""Kills at random moments: the same command continues to the bits of an undisturbed study."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from seedlab.store.study import StudyFolder
from tests.soak.checks import Ended, assert_done, assert_no_crash, labelled

SHORT = 10
FULL = 100

_GRID = (
    *("run", "-m", "task=acceptability", "task.examples=64", "task.dev_examples=40"),
    *("recipe.max_steps=24", "recipe.optimizer.learning_rate=1e-3", "evaluation.every=6"),
    *("engine.threads=1", "engine.width=2"),
    *("seed.init=0,1", "seed.order=0,1,2"),
)
_RUNS = 6
_MODES = {
    "packed": ("engine=packed",),
    "serial": ("engine=serial",),
    "start_many": (
        *("early_stopping=start_many", "early_stopping.continued=2"),
        "early_stopping.fraction=0.5",
    ),
    "checkpoints": ("train.checkpoint_every=3",),
}
_INLINE = "hydra.launcher.executor=tests.examples.executor.inline:InlineExecutor"
_VICTIMS = ("a worker", "the launcher", "all processes", "two in a row")
_LONGEST = 240.0
_CRASH = "Traceback (most recent call last)"


def run_case(seed: int, folder: Path) -> str:
    """Kill a command once or twice, repeat it until it ends, and compare with a calm one.

    Parameters
    ----------
    seed : int
        Chooses the mode and the victim in turn, and the moments at random.
    folder : Path
        An empty folder.

    Returns
    -------
    str
        The mode and the victim.
    """
    rng = random.Random(seed)
    mode = list(_MODES)[seed % len(_MODES)]
    victim = _VICTIMS[seed // len(_MODES) % len(_VICTIMS)]
    label = f"{mode}, kill of {victim}"
    with labelled(label):
        calm = _Command(folder, "calm", (*_GRID, *_MODES[mode], "study=calm", _INLINE))
        assert_done(calm.wait())
        slots = f"hydra.launcher.slots={rng.choice((1, 2))}"
        arguments = (*_GRID, *_MODES[mode], slots, "study=killed")
        victims = [victim] if victim in _VICTIMS[:3] else rng.choices(_VICTIMS[:3], k=2)
        study, finished = StudyFolder(folder / "studies" / "killed"), {}
        for number, name in enumerate(victims):
            finished |= _killed(_Command(folder, f"killed-{number}", arguments), name, study, rng)
        ended = _Command(folder, "again", arguments).wait()
        assert_done(ended)
        _assert_kept(finished, study, ended)
        _assert_as_calm(study, StudyFolder(folder / "studies" / "calm"), ended)
    return label


class _Command:
    """`seedlab ARGUMENTS` in a process group of its own, without the time of its imports."""

    def __init__(self, folder: Path, name: str, arguments: Sequence[str]) -> None:
        self.arguments, self._output = tuple(arguments), folder / f"{name}.txt"
        # A case has no threads, so that it may fork.
        self.process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_main, args=(self.arguments, folder, self._output)
        )
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        try:
            return [
                *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())
            ]
        except OSError:
            return []

    def wait(self, *, killed: bool = False) -> Ended:
        """Wait for its end: no traceback, no hang, and no death by a signal of another."""
        self.process.join(_LONGEST)
        hung = self.process.is_alive()
        if hung:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        ended = Ended(self.arguments, self.process.exitcode or 0, text)
        assert not hung, f"no end within {_LONGEST:.0f} s: {ended}"
        if killed and ended.code == -signal.SIGKILL:
            assert _CRASH not in text, f"a traceback: {ended}"
        else:
            assert_no_crash(ended)
        return ended


def _main(arguments: Sequence[str], folder: Path, output: Path) -> None:
    os.setsid()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    from seedlab.commands.cli import main

    sys.exit(main(arguments))


def _killed(
    command: _Command, victim: str, study: StudyFolder, rng: random.Random
) -> dict[str, tuple[bytes, int]]:
    """Kill a victim at a random moment, and wait until the command and its workers are gone.

    Returns
    -------
    dict of str to (bytes, int)
        Content and time of ``record.json`` of every finished run, by run id.
    """
    moment = _moment(study, rng)
    group = set(command.workers())
    while command.process.is_alive() and not moment():
        group |= set(command.workers())
        time.sleep(0.002)
    if victim == "a worker":
        while command.process.is_alive() and not command.workers():
            time.sleep(0.002)
        _kill(rng.choice(command.workers() or [0]))
    else:
        group |= set(command.workers())
        (_kill if victim == "the launcher" else _kill_group)(command.pid)
    ended = command.wait(killed=True)
    # Mostly, the next command finds no worker of this one. Otherwise it asks for its run later.
    if rng.random() < 0.8:
        end = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in group):
            assert time.monotonic() < end, f"a worker outlives its launcher: {ended}"
            time.sleep(0.01)
    found = _records(study)
    announced = sum(" finished: " in line for line in ended.output.splitlines())
    assert len(found) >= announced, f"{announced} runs finished, {len(found)} on record: {ended}"
    return found


def _kill(pid: int) -> None:
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It has not made its group yet, or has ended.
        _kill(pid)


def _moment(study: StudyFolder, rng: random.Random) -> Callable[[], bool]:
    """Return a condition that becomes true at a random moment of a command."""
    begin, number = time.monotonic(), rng.randrange(1, _RUNS)
    conditions: list[tuple[Callable[[], bool], float]] = [
        (lambda: True, 8.0),
        (lambda: bool(list(study.folder.glob("claims/*.owner"))), 1.5),
        (lambda: len(study.recorded()) >= number, 0.5),
        (lambda: bool(list(study.folder.glob("tmp/*/*"))), 0.02),
    ]
    condition, spread = rng.choice(conditions)
    delay, since = rng.uniform(0.0, spread), [begin if spread == 8.0 else 0.0]

    def passed() -> bool:
        if not since[0] and condition():
            since[0] = time.monotonic()
        return bool(since[0]) and time.monotonic() >= since[0] + delay

    return passed


def _records(study: StudyFolder) -> dict[str, tuple[bytes, int]]:
    found = {}
    for path in study.folder.glob("runs/*/record.json"):
        found[path.parent.name] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def _assert_kept(finished: dict[str, tuple[bytes, int]], study: StudyFolder, ended: Ended) -> None:
    """Assert that no run that was finished is lost or was written again."""
    kept = _records(study)
    for run_id, record in finished.items():
        assert kept.get(run_id) == record, f"run {run_id} was lost or trained again: {ended}"


def _assert_as_calm(study: StudyFolder, calm: StudyFolder, ended: Ended) -> None:
    """Assert that all runs are on record with the bits of a calm study, and nothing else."""
    ours, theirs = study.records(), calm.records()
    assert len(theirs) == _RUNS
    assert {k: r.status for k, r in ours.items()} == {k: r.status for k, r in theirs.items()}, ended
    for run_id in theirs:
        mine, other = study.read(run_id).arrays, calm.read(run_id).arrays
        assert mine.evaluations == other.evaluations, f"run {run_id} differs: {ended}"
        for name in ("losses", "grad_norms", "learning_rates"):
            same = getattr(mine, name).tobytes() == getattr(other, name).tobytes()
            assert same, f"{name} of run {run_id} differ: {ended}"
        for split, logits in other.logits.items():
            same = mine.logits[split].tobytes() == logits.tobytes()
            assert same, f"logits of run {run_id} differ: {ended}"
    assert study.corrupt() == [], f"damaged: {study.corrupt()}: {ended}"
    left = [
        str(path.relative_to(study.folder))
        for pattern in ("tmp/*", "claims/*", "checkpoints/*", "**/*.tmp")
        for path in study.folder.glob(pattern)
    ]
    assert not left, f"left behind: {left}: {ended}"
