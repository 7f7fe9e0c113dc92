"""Harms: one file or folder of a study is damaged in a random way, with what has to follow."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from seedlab.store.atomic_files import digest, dump_json
from seedlab.store.study import StudyFolder

PLACES = {
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
"""places that may be harmed, by the kind of study; a place that stands twice is twice as likely"""


@dataclass
class Damage:
    """What was done to a study, and what has to follow from it."""

    label: str
    missing: set[str] = field(default_factory=set)
    """runs that no verb may count"""
    lost: set[str] = field(default_factory=set)
    """runs whose last folder is gone"""
    named: str = ""
    """text that a verb or the command has to print"""
    restored: dict[Path, bytes] = field(default_factory=dict)
    """files that every verb refuses, and that the remedy brings back"""
    refused_by_run: bool = False
    """whether the command refuses it until it is removed"""
    may_be_harmless: bool = False
    path: Path = Path()


def harm(study: StudyFolder, kind: str, rng: random.Random) -> Damage:
    """Harm one place of a study of a kind; both are files that the study has."""
    place = rng.choice(PLACES[kind])
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
            stopped = [*study.folder.glob(f"stopped/{run}-*")]
            damage.missing = set() if "removed" in damage.label and stopped else {run}
            damage.lost = {run}
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


def _harm_file(path: Path, rng: random.Random, others: list[Path], schema: bool = True) -> Damage:
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
    # Few files have a version, so it is harmed more often there.
    name = rng.choice([*sorted(harms), *["schema version 99"] * (3 if restored else 0)])
    data = path.read_bytes()
    harms[name]()
    if name == "schema version 99":
        return Damage(name, restored=restored, path=path)
    if name == "no permission":
        return Damage(name, restored={path: data}, path=path)
    return Damage(name, path=path)


def _harm_folder(folder: Path, rng: random.Random) -> Damage:
    """Harm the whole folder of a run."""
    name = rng.choice(["removed", "a file in its place", "empty", "under another name"])
    if name == "under another name":
        folder.rename(folder.with_name("0" * 20 + folder.name[20:]))
        return Damage(f"removed, {name}", named="0" * 20)
    shutil.rmtree(folder)
    if name == "removed":
        return Damage(name)
    if name == "empty":
        folder.mkdir()
    else:
        folder.write_text("mine")
    return Damage(name, named=folder.name)


def _add_files(study: Path, run: Path, rng: random.Random) -> Damage:
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
    return Damage("unknown files")


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
