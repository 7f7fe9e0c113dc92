"""Processes that the fault tests start and kill: ``python store_stage.py ROLE STUDY ...``.

Each prints one line when it is ready. Nothing here is collected by pytest.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.store.study import StudyFolder
from tests.suites.store_cases import make_result, make_spec, make_task

TASK = make_task(dev=3000)
SMALL = make_task()


def write_forever(study: StudyFolder, first: int, pipe: int) -> None:
    """Write new runs until killed; report each to the pipe."""
    for init in itertools.count(first):
        study.write(make_result(TASK, init), TASK)
        os.write(pipe, b".")


def killed_writers(study: StudyFolder, kills: int, seed: int) -> None:
    """Start a writer and kill it -9 after a random while, many times over.

    Prints the number of kills that left an unfinished folder, because they came during a
    write.
    """
    rng = random.Random(seed)
    write_one = make_result(TASK, 10**6), TASK
    study.write(*write_one)  # import everything before the first fork
    interrupted = 0
    for kill in range(kills):
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            write_forever(study, 1000 * kill, tell)
        # Counted from its first run, so that a busy machine doesn't kill it before it began.
        os.read(told, 1)
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
        interrupted += any(study.folder.glob("tmp/*/*/"))
        if any(
            not r.is_dir() or not (r / "record.json").exists() for r in study.folder.glob("runs/*")
        ):
            raise SystemExit("a run folder without a record came into being")
        if kill % 2:
            study.begin([])
            if any(study.folder.glob("tmp/*")):
                raise SystemExit("a dead writer's folder was not swept")
    print(json.dumps({"interrupted": interrupted}), flush=True)


def race(study: StudyFolder, runs: int, tag: str) -> None:
    """Write the same runs as another process; print whose result each run ended with."""
    start_line(study)
    won = {}
    for init in range(runs):
        record = study.write(make_result(SMALL, init, tag=tag), SMALL)
        won[record.run_id] = record.provenance["tag"]
    print(json.dumps(won), flush=True)


def share(study: StudyFolder, runs: int, tag: str) -> None:
    """Claim, 'train' and write; print the runs that this process trained."""
    start_line(study)
    trained = []
    while len(study.records()) < runs:
        time.sleep(0.005)
        for init in range(runs):
            claim = study.claim(make_spec(init).run_id)
            if claim is None:
                continue
            with claim:
                trained.append(claim.run_id)
                time.sleep(0.001)
                study.write(make_result(SMALL, init, tag=tag), SMALL)
    print(json.dumps(trained), flush=True)


def hold(study: StudyFolder, runs: int) -> None:
    """Claim the first runs and keep them until killed."""
    held = [study.claim(make_spec(init).run_id) for init in range(runs)]
    print(json.dumps([claim is not None for claim in held]), flush=True)
    time.sleep(600)


def peek(study: StudyFolder) -> None:
    """List claims again and again until killed."""
    print("ready", flush=True)
    while True:
        study.owners()


def small_files_only(study: StudyFolder, limit: int) -> None:
    """Try to write a large run under a file-size limit; print the error."""
    study.write(make_result(SMALL, 0), SMALL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        study.write(make_result(TASK, 1), TASK)
    except SeedlabError as error:
        print(json.dumps(str(error)), flush=True)


def start_line(study: StudyFolder) -> None:
    print("ready", flush=True)
    while not (study.folder / "start").exists():
        time.sleep(0.0005)


if __name__ == "__main__":
    role, folder, *rest = sys.argv[1:]
    arguments = [int(text) if text.isdigit() else text for text in rest]
    globals()[role](StudyFolder(Path(folder)), *arguments)
