"""The table of the soak suites: results on file, and the README that shows them."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.soak.cases import Result

README = Path(__file__).with_name("README.md")

_ABOUT = """\
# Soak suites

`make soak` writes this page: seeded kills, damaged studies, hostile tables and hostile task files. Every case asserts that no finished
run is lost, that no traceback is printed and that a refusal is one short message with a remedy. `make test-all` runs the first cases of each kind.
`python -m tests.soak KIND` runs one kind. A repeated command skips the cases that have passed.

"""


def read_results(path: Path) -> list[Result]:
    """The last result of every case in a file of JSON lines, by kind and seed."""
    if not path.is_file():
        return []
    last: dict[tuple[str, int], Result] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the last line of a killed command
        last[result.kind, result.seed] = result
    return [last[case] for case in sorted(last)]


def write_table(results: Sequence[Result], path: Path) -> None:
    """Write the page: one row per kind and label, one total per kind."""
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result.kind, result.label].append(result)
    lines = [
        _ABOUT + f"{datetime.now(UTC):%Y-%m-%d}, seedlab {version('seedlab')}, Python "
        f"{platform.python_version()}, torch {version('torch')}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores.\n",
        "| kind | case | cases | failed | seconds |",
        "|---|---|---:|---:|---:|",
    ]
    for kind in sorted({kind for kind, _ in groups}):
        ours = sorted(key for key in groups if key[0] == kind)
        lines += [_row(kind, label, groups[kind, label]) for _, label in ours]
        lines.append(_row(f"**{kind}**", "**all**", [r for key in ours for r in groups[key]]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(kind: str, label: str, results: Iterable[Result]) -> str:
    results = list(results)
    failed = sum(not result.ok for result in results)
    seconds = sum(result.seconds for result in results)
    return f"| {kind} | {label} | {len(results)} | {failed} | {seconds:.0f} |"
