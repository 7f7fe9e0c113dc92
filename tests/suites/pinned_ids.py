"""Names of runs that 0.1 gave, with the settings that they stand for."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seedlab.spec.run import RunSpec

FILE = Path(__file__).parent.parent / "spec" / "pinned_ids.json"


@dataclass(frozen=True)
class Pinned:
    """A run and its name; `overrides` where 0.1 composed it from a command line."""

    note: str
    run_id: str
    spec: RunSpec
    overrides: tuple[str, ...] | None

    def __str__(self) -> str:
        return self.note


def put(part: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return a dataclass with the field at `path` replaced."""
    name, *rest = path
    if rest:
        value = put(getattr(part, name), tuple(rest), value)
    return dataclasses.replace(part, **{name: value})


@cache
def pinned() -> tuple[Pinned, ...]:
    """All of them; content hashes are ``data`` and ``weights``."""
    values = json.loads(FILE.read_text(encoding="utf-8"))
    base = RunSpec(data_hash="data", weights_hash="weights")
    found = [Pinned("all defaults", values["default"], base, None)]
    for line in values["runs"]:
        spec = base
        for key, value in line["changed"].items():
            spec = put(
                spec, tuple(key.split(".")), tuple(value) if isinstance(value, list) else value
            )
        overrides = tuple(line["overrides"]) if "overrides" in line else None
        found.append(Pinned(line["note"], line["run_id"], spec, overrides))
    return tuple(found)
