"""Damages: files of a study are harmed, and the same command makes the study whole again.

A case trains a study of four runs. It harms one file of a copy, asks the verbs and issues the study's command again.
A damaged run has to be missing in every verb alike, and all other runs keep every byte.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from seedlab.commands.cli import main
from seedlab.store.study import StudyFolder
from tests.soak.harms import Damage, harm

SHORT = 10
FULL = 60

_GRID = [
    *("run", "-m", "study=s", "task=acceptability", "task.examples=64", "task.dev_examples=40"),
    *("recipe.max_steps=12", "recipe.optimizer.learning_rate=1e-3", "evaluation.every=3"),
    *("engine.threads=1", "engine.width=2", "hydra.launcher.progress=lines"),
    # In this process: a case would spend most of its time on starting workers.
    "hydra.launcher.executor=tests.examples.executor.inline:InlineExecutor",
]
_SEEDS = ["seed.init=0,1", "seed.order=0,1"]
_SETTINGS = [
    *("hydra/sweeper=seedlab_optuna", "hydra.sweeper.trials=2", "hydra.sweeper.seeds=2"),
    "recipe.optimizer.weight_decay=choice(0.0,0.01,0.1)",
]
_COMMANDS = {
    "finished": [*_GRID, *_SEEDS],
    "stopped": [
        *(*_GRID, *_SEEDS, "early_stopping=start_many", "early_stopping.continued=2"),
        "early_stopping.fraction=0.5",
    ],
    "checkpointed": [*_GRID, *_SEEDS, "train.checkpoint_every=4"],
    "searched": [*_GRID, *_SETTINGS],
}


def run_case(seed: int, folder: Path) -> str:
    """Train, harm, ask and train again; return the kind of study, the place and the harm."""
    rng = random.Random(seed)
    # The kinds take turns, so that ten cases have all of them.
    kind = [*_COMMANDS][seed % len(_COMMANDS)]
    label = kind
    try:
        with _inside(folder / "whole"):
            _done(_COMMANDS[kind])
            reference = _content(StudyFolder("studies/s"))
        if kind == "checkpointed":
            with _inside(folder / "harmed"), _interrupted():
                assert _call(_COMMANDS[kind])[0] == 130
        else:
            shutil.copytree(folder / "whole", folder / "harmed")
        with _inside(folder / "harmed"):
            study = StudyFolder("studies/s")
            if rng.random() < 0.3:
                _done(["export", "s"])
            recorded = set(study.records())
            before = _bytes(study)
            damage = harm(study, kind, rng)
            label = f"{kind}, {damage.label}"
            _check(study, kind, damage, recorded, before, rng)
            assert _content(study) == reference, f"other bits than an undamaged study: {damage}"
    except AssertionError as error:
        error.label = label  # type: ignore[attr-defined]
        raise
    return label


def _check(
    study: StudyFolder,
    kind: str,
    damage: Damage,
    recorded: set[str],
    before: dict[Path, bytes],
    rng: random.Random,
) -> None:
    """Ask the verbs, apply the remedy, and issue the command again."""
    sound = recorded - damage.missing
    verbs: list[Callable[[], str]] = [
        lambda: _status(len(sound), damage),
        lambda: _export(sound, damage),
        lambda: _verify(rng.choice(sorted(sound)), damage),
        lambda: "".join(_refused(["verify", "s", run], damage) for run in damage.missing),
    ]
    if rng.random() < 0.3:  # it takes longer than all others together
        verbs.append(lambda: _report(damage))
    rng.shuffle(verbs)
    # Now and then the command has to find the damage by itself.
    output = "".join(verb() for verb in verbs[: rng.choice([0, 2, 5, 5])])
    command = _COMMANDS[kind]
    if damage.restored:
        output += _refused(command, damage)
        for path, data in damage.restored.items():
            path.write_bytes(data)
    if damage.refused_by_run and not (damage.may_be_harmless and _call(command)[0] == 0):
        output += _refused(command, damage)
        shutil.rmtree(damage.path) if damage.path.is_dir() else damage.path.unlink()
        assert damage.named in output, f"'{damage.named}' is not reported: {damage}\n{output}"
        damage.named = ""
    elif damage.refused_by_run:
        damage.named = ""
    output += _done(command)
    assert damage.named in output, f"'{damage.named}' is not reported: {damage}\n{output}"
    for run in sound - damage.lost:
        kept = {path: data for path, data in before.items() if run in str(path)}
        for path, data in kept.items():
            # An older folder of a run that was trained on may go.
            if path.parts[0] == "runs" or path.exists():
                assert (study.folder / path).read_bytes() == data, f"{path} changed: {damage}"
    _status(4, Damage(damage.label))
    again = _bytes(study)
    _done(command)
    assert {k: v for k, v in _bytes(study).items() if k.parts[0] == "runs"} == {
        k: v for k, v in again.items() if k.parts[0] == "runs"
    }, f"a whole study was trained again: {damage}"


def _status(expected: int, damage: Damage) -> str:
    if damage.restored:
        return _refused(["status", "s"], damage)
    output = _done(["status", "s"])
    found = re.search(r"study s: (\d+) of (\d+) cells done", output)
    assert found, output
    assert int(found[1]) == expected, f"status counts {found[1]} runs, not {expected}: {output}"
    return output


def _export(expected: set[str], damage: Damage) -> str:
    if damage.restored and "study.json" not in {path.name for path in damage.restored}:
        return _refused(["export", "s"], damage)
    output = _done(["export", "s", "--out", "exported"])
    with Path("exported/runs.csv").open() as file:
        found = {row["run"] for row in csv.DictReader(file)}
    assert found == expected, f"export has {sorted(found)}, not {sorted(expected)}: {output}"
    return output


def _report(damage: Damage) -> str:
    if damage.restored and "study.json" not in {path.name for path in damage.restored}:
        return _refused(["report", "s", "--out", "page"], damage)
    return _done(["report", "s", "--out", "page"])


def _verify(run: str, damage: Damage) -> str:
    if damage.restored and any(run in str(path) for path in damage.restored):
        return _refused(["verify", "s", run], damage)
    output = _done(["verify", "s", run])
    assert "bitwise equal" in output, output
    return output


def _done(command: list[str]) -> str:
    code, output = _call(command)
    assert code == 0, f"exit code {code}: {' '.join(command)}\n{output}"
    return output


def _refused(command: list[str], damage: Damage) -> str:
    """Check that a command is refused in one short message that has a remedy."""
    code, output = _call(command)
    said = [line for line in output.splitlines() if line.startswith("seedlab: ")]
    shown = f"{' '.join(command)}\nexit code {code}\n{output}"
    assert code == 2, f"not refused ({damage}): {shown}"
    assert len(said) == 1, f"not one message ({damage}): {shown}"
    assert len(said[0]) < 700, f"a long message ({damage}): {shown}"
    assert re.search(r"[.;:] ?\w", said[0]), f"no remedy ({damage}): {shown}"
    return output


def _call(command: list[str]) -> tuple[int, str]:
    """Run a command in this process; return its exit code and all that it printed."""
    # Hydra's handlers write to the output of an earlier command.
    for handler in logging.root.handlers[:]:
        logging.root.removeHandler(handler)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = main(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    text = output.getvalue()
    shown = f"{' '.join(command)}\n{text}"
    assert "Traceback (most recent call last)" not in text, f"a traceback: {shown}"
    assert code != 70, f"exit code 70: {shown}"
    return code, text


@contextlib.contextmanager
def _interrupted() -> Iterator[None]:
    """Press Ctrl-C while the third run is written: checkpoints of two runs are left."""
    write, calls = StudyFolder.write, [0]

    def interrupted(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return write(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(StudyFolder, "write", interrupted):
        yield


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    with contextlib.chdir(folder):
        yield


def _content(study: StudyFolder) -> object:
    """Everything that two equal studies have in common, bit for bit."""
    runs = {}
    for run in study.records():
        stored = study.read(run)
        arrays, record = stored.arrays, stored.record
        runs[run] = (
            (record.status, record.best_score, record.final_score, record.steps),
            arrays.evaluations,
            *(getattr(arrays, name).tobytes() for name in ("losses", "grad_norms")),
            {split: logits.tobytes() for split, logits in arrays.logits.items()},
        )
    decisions = {
        path.name: json.loads(path.read_bytes())["content"]
        for path in study.folder.glob("decisions/*/*-step-*.json")
    }
    return runs, decisions


def _bytes(study: StudyFolder) -> dict[Path, bytes]:
    """The files of all runs."""
    return {
        path.relative_to(study.folder): path.read_bytes()
        for top in ("runs", "stopped")
        for path in sorted((study.folder / top).rglob("*"))
        if path.is_file()
    }
