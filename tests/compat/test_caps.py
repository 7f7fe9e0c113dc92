"""pyproject.toml allows the versions that the tests pass with, and no untested major ones."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LORA = PROJECT["optional-dependencies"]["lora"]
GPU = [Requirement(text) for text in PROJECT["optional-dependencies"]["gpu"]]
"""Its version was tried without a GPU: it answers that there is no driver. The tests fake it."""
CAPPED = [Requirement(text) for text in (*PROJECT["dependencies"], *LORA)]
TESTED = {
    canonicalize_name(name): Version(number)
    for name, _, number in (
        line.partition("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}
MINOR = ("torch", "transformers", "peft", "hydra-core")
"""Libraries whose minor releases change what `seedlab/compat` wraps."""


def cap(requirement: Requirement) -> Version:
    """Return the first version that is not allowed."""
    caps = [Version(s.version) for s in requirement.specifier if s.operator == "<"]
    assert len(caps) == 1, f"{requirement} needs one upper bound, such as <3"
    return caps[0]


@pytest.mark.parametrize("requirement", [*CAPPED, *GPU], ids=str)
def test_a_cap_lies_just_above_the_tested_version(requirement: Requirement) -> None:
    end = cap(requirement)
    tested = TESTED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(tested), f"{requirement} excludes the tested {tested}"
    major, minor = tested.release[:2]
    if requirement.name in MINOR or major == 0:
        assert end == Version(f"{major}.{minor + 1}")
    else:
        assert end == Version(f"{major + 1}")


def test_the_extras_for_development_are_those_of_users() -> None:
    """`dev` repeats the extras that the tests need."""
    dev = {Requirement(text).name: text for text in PROJECT["optional-dependencies"]["dev"]}
    assert dev["peft"] == LORA[0]


def test_continuous_integration_prints_the_versions_it_tested() -> None:
    """The part of the script that prints them names every capped library."""
    script = (ROOT / ".ci" / "run").read_text()
    (part,) = re.findall(r"<<'PYTHON'\n(.*?)^PYTHON$", script, flags=re.DOTALL | re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", part], cwd=ROOT, capture_output=True, text=True)
    for requirement in CAPPED:
        assert f"{requirement.name} {version(requirement.name)}" in done.stdout, done.stderr


def test_the_tests_run_with_the_constraints() -> None:
    """Where the environment differs, its versions must be allowed all the same."""
    for requirement in CAPPED:
        assert requirement.specifier.contains(version(requirement.name), prereleases=True)
