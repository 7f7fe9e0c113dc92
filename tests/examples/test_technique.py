"""A technique is four files: they are put into a copy of the repository, and pass the suite there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = Path(__file__).parent / "technique"
LINKED = ("analysis", "experiments", "hydra_plugins")


def copy_of_the_repository(folder: Path) -> Path:
    """Copy what the example may change, and link the rest."""
    skip = shutil.ignore_patterns("__pycache__", "stored")
    for name in ("seedlab", "conf", "docs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def put(folder: Path) -> list[str]:
    """Put the example's files where they belong; return their names."""
    names = []
    for source in sorted(path for path in EXAMPLE.rglob("*.*") if "__pycache__" not in path.parts):
        place = folder / source.relative_to(EXAMPLE)
        if place.suffix == ".diff":
            place = place.with_suffix("")
            place.write_text(patched(place.read_text(), source.read_text()))
        else:
            assert not place.exists(), place
            shutil.copy(source, place)
        names.append(str(place.relative_to(folder)))
    return names


def patched(text: str, diff: str) -> str:
    """Return a file with every new line of a diff behind the line that is above it there."""
    before = ""
    for line in diff.splitlines():
        if line.startswith("+"):
            assert text.count(f"{before}\n") == 1, before
            text = text.replace(f"{before}\n", f"{before}\n{line[1:]}\n")
        else:
            before = line[1:]
    return text


def run_python(folder: Path, *command: str) -> str:
    """Run Python in the copy; return what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "SEEDLAB_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_technique_is_its_module_its_preset_its_test_and_a_line(tmp_path: Path) -> None:
    """Gradient centralisation passes the suite, and the tests of the whole that look at it."""
    copy = copy_of_the_repository(tmp_path)
    assert put(copy) == [
        "conf/recipe/yong2020_centralised.yaml",
        "seedlab/spec/recipe.py",
        "seedlab/techniques/gradient_centralisation.py",
        "seedlab/training/techniques/gradient_centralisation.py",
        "tests/training/techniques/test_gradient_centralisation.py",
    ]
    run_python(copy, "docs/write_technique_table.py")
    out = run_python(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0",
        "tests/training/techniques/test_gradient_centralisation.py",
        "tests/training/techniques/test_conformance.py::test_every_technique_is_tested",
        "tests/config/test_presets.py::test_the_table_names_every_preset",
        "tests/test_docs.py::test_the_table_of_techniques_is_the_codes",
        "tests/spec/test_run_spec.py::test_the_name_of_the_default_run_is_what_it_was",
        "tests/test_directions.py::test_no_import_goes_upwards",
        "tests/test_directions.py::test_models_optimizers_and_techniques_know_no_configuration",
    )  # fmt: skip
    assert "skipped" not in out
