"""Tables of others in a folder that an export is to be written to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seedlab.errors import SeedlabError
from seedlab.store.tables.schema import TABLES


def refuse_foreign_tables(folder: Path, formats: Sequence[str]) -> None:
    """Refuse a folder whose tables no export has written: they would be replaced or removed.

    Parameters
    ----------
    folder : pathlib.Path
    formats : sequence of str
        Endings of tables.

    Raises
    ------
    SeedlabError
        Naming the tables.
    """
    names = ["schema.json", *(f"{name}.{kind}" for name in TABLES for kind in formats)]
    there = [name for name in names if (folder / name).exists()]
    try:
        described = json.loads((folder / "schema.json").read_bytes())
        own = isinstance(described, dict) and {"schema_version", "tables"} <= described.keys()
    except (OSError, ValueError, RecursionError):
        own = False
    if there and not own:
        raise SeedlabError(
            f"{folder} holds {', '.join(there)}, which no export of seedlab has written; nothing is replaced. "
            "Name a new folder with --out, or replace them with --overwrite."
        )
