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
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from seedlab.commands.cli import main
from seedlab.store.atomic_files import digest, dump_json
from seedlab.store.study import StudyFolder

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
_PLACES = {
    "finished": [*["run"] * 5, "run folder", "plan", "extra"],
    "stopped": [
        *["run"] * 4,
        "older folder",
        "run folder",
        "decision",
        "decision",
        "plan",
        "extra",
    ],
    "checkpointed": [*["checkpoint"] * 3, "run", "run", "extra"],
    "searched": [*["storage"] * 3, "run", "run", "run", "extra"],
}


@dataclass
class _Damage:
    """What was done to a study, and what has to follow from it."""

    label: str
    missing: set[str] = field(default_factory=set)
    """runs that no verb may count"""
    named: str = ""
    """text that a verb or the command has to print"""
    restored: dict[Path, bytes] = field(default_factory=dict)
    """files that every verb refuses, and that the remedy brings back"""
    refused_by_run: bool = False
    """whether the command refuses it until it is removed"""
    may_be_harmless: bool = False
    path: Path = Path()


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
            damage = _harm(study, kind, rng)
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
    damage: _Damage,
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
    for run in sound:
        kept = {path: data for path, data in before.items() if run in str(path)}
        for path, data in kept.items():
            # An older folder of a run that was trained on may go.
            if path.parts[0] == "runs" or path.exists():
                assert (study.folder / path).read_bytes() == data, f"{path} changed: {damage}"
    _status(4, _Damage(damage.label))
    again = _bytes(study)
    _done(command)
    assert {k: v for k, v in _bytes(study).items() if k.parts[0] == "runs"} == {
        k: v for k, v in again.items() if k.parts[0] == "runs"
    }, f"a whole study was trained again: {damage}"


# The verbs.


def _status(expected: int, damage: _Damage) -> str:
    if damage.restored:
        return _refused(["status", "s"], damage)
    output = _done(["status", "s"])
    found = re.search(r"study s: (\d+) of (\d+) cells done", output)
    assert found, output
    assert int(found[1]) == expected, f"status counts {found[1]} runs, not {expected}: {output}"
    return output


def _export(expected: set[str], damage: _Damage) -> str:
    if damage.restored and "study.json" not in {path.name for path in damage.restored}:
        return _refused(["export", "s"], damage)
    output = _done(["export", "s", "--out", "exported"])
    with Path("exported/runs.csv").open() as file:
        found = {row["run"] for row in csv.DictReader(file)}
    assert found == expected, f"export has {sorted(found)}, not {sorted(expected)}: {output}"
    return output


def _report(damage: _Damage) -> str:
    if damage.restored and "study.json" not in {path.name for path in damage.restored}:
        return _refused(["report", "s", "--out", "page"], damage)
    return _done(["report", "s", "--out", "page"])


def _verify(run: str, damage: _Damage) -> str:
    if damage.restored and any(run in str(path) for path in damage.restored):
        return _refused(["verify", "s", run], damage)
    output = _done(["verify", "s", run])
    assert "bitwise equal" in output, output
    return output


def _done(command: list[str]) -> str:
    code, output = _call(command)
    assert code == 0, f"exit code {code}: {' '.join(command)}\n{output}"
    return output


def _refused(command: list[str], damage: _Damage) -> str:
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


# The harms.


def _harm(study: StudyFolder, kind: str, rng: random.Random) -> _Damage:
    place = rng.choice(_PLACES[kind])
    records = study.records()
    run = rng.choice(sorted(records))
    folder = study.folder_of(records[run])
    match place:
        case "run":
            file = rng.choice(sorted(path.name for path in folder.iterdir()))
            others = [study.folder_of(r) / file for i, r in records.items() if i != run]
            damage = _harm_file(folder / file, rng, others)
            damage.missing, damage.named = {run}, run
            if "schema" in damage.label:
                damage.missing, damage.named = set(), "schema version 99"
        case "older folder":
            older = rng.choice(sorted(study.folder.glob("stopped/*")))
            run = older.name[:20]
            file = rng.choice(sorted(path.name for path in older.iterdir()))
            damage = _harm_file(older / file, rng, [study.folder / "study.json"], schema=False)
            if records[run].status == "stopped":
                damage.missing, damage.named = {run}, run
        case "run folder":
            damage = _harm_folder(folder, rng)
            # Without its last folder, a run that was promoted is a stopped one.
            older = list(study.folder.glob(f"stopped/{run}-*"))
            damage.missing = set() if "removed" in damage.label and older else {run}
        case "plan":
            damage = _harm_file(study.folder / "study.json", rng, [folder / "config.json"])
            damage.named = "" if "removed" in damage.label else "study.json"
        case "decision":
            path = rng.choice(sorted(study.folder.glob("decisions/*/*-step-*.json")))
            damage = _harm_file(path, rng, [study.folder / "study.json"], schema=False)
            damage.named = "" if "removed" in damage.label else path.name
        case "checkpoint":
            path, *others = rng.sample(sorted(study.folder.glob("checkpoints/*")), 2)
            damage = _harm_file(path, rng, others)
            damage.named = "" if "removed" in damage.label else path.name
        case "storage":
            path = study.folder / "optuna.db"
            damage = _harm_file(path, rng, [folder / "predictions.parquet"])
            # A new storage proposes the same settings, whose runs are on record. One bit may
            # lie in an empty page.
            harmless = ("removed", "emptied")
            damage.refused_by_run = not any(word in damage.label for word in harmless)
            damage.may_be_harmless = "one bit" in damage.label
            damage.named = "optuna.db" if damage.refused_by_run else ""
        case _:
            damage = _add_files(study.folder, folder, rng)
    damage.label = f"{place}: {damage.label}"
    return damage


def _harm_file(path: Path, rng: random.Random, others: list[Path], schema: bool = True) -> _Damage:
    """Harm one file in a random way; `others` may take its place."""
    harms: dict[str, Callable[[], None]] = {
        "truncated": lambda: _truncate(path, rng),
        "one bit": lambda: _flip(path, rng),
        "emptied": lambda: _write(path, b""),
        "removed": path.unlink,
        "another file": lambda: _write(path, rng.choice(others).read_bytes()),
        "a folder in its place": lambda: _make_folder(path),
    }
    if path.suffix == ".json":
        text = rng.choice([b"[]", b"null", b'{"schema_version": {}}', b"[" * 50_000, b"\xff\xfe"])
        harms["wrong JSON"] = lambda: _write(path, text)
    if os.geteuid() != 0:
        harms["no permission"] = lambda: path.chmod(0)
    restored: dict[Path, bytes] = {}
    if schema and path.name in ("record.json", "study.json"):
        restored = {path: path.read_bytes()}
        harms["schema version 99"] = lambda: _raise_version(path)
    name = rng.choice(sorted(harms))
    data = path.read_bytes()
    harms[name]()
    if name == "schema version 99":
        return _Damage(name, restored=restored, path=path)
    if name == "no permission":
        return _Damage(name, restored={path: data}, path=path)
    return _Damage(name, path=path)


def _harm_folder(folder: Path, rng: random.Random) -> _Damage:
    """Harm the whole folder of a run."""
    name = rng.choice(["removed", "a file in its place", "empty", "under another name"])
    if name == "under another name":
        folder.rename(folder.with_name("0" * 20 + folder.name[20:]))
        return _Damage(f"removed, {name}", named="0" * 20)
    shutil.rmtree(folder)
    if name == "removed":
        return _Damage(name)
    if name == "empty":
        folder.mkdir()
    else:
        folder.write_text("mine")
    return _Damage(name, named=folder.name)


def _add_files(study: Path, run: Path, rng: random.Random) -> _Damage:
    """Add files that seedlab does not know."""
    places = [
        *(
            study / "runs" / "notes.txt",
            study / "runs" / ".ipynb_checkpoints" / "x",
            run / "mine.bin",
        ),
        *(study / "checkpoints" / "x.safetensors", study / "decisions" / "x" / "y.json"),
        *(study / "corrupt" / "x", study / "tmp" / "left" / "x", study / "claims" / "x.lock"),
        *(study / "tables" / "mine.csv", study / "surfaces" / "readme.md", study / ".DS_Store"),
    ]
    for place in rng.sample(places, 4):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(rng.randbytes(rng.choice([0, 10, 5000])))
    return _Damage("unknown files")


def _truncate(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    _write(path, data[: rng.randrange(1, len(data))])


def _flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    _write(path, bytes(data))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _raise_version(path: Path) -> None:
    """Write a file as a later release would, with its seal."""
    values = json.loads(path.read_bytes())
    values["schema_version"] = 99
    if path.name == "record.json":
        text = json.dumps([99, values["files"], values["record"]], sort_keys=True)
        values["sha256"] = digest(text.encode())
    path.write_bytes(dump_json(values))
