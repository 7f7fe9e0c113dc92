from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np

from seedlab.store.provenance import _commit, versions


def test_versions_are_those_of_the_packages_that_compute():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    found["numpy"] = "changed"
    assert versions()["numpy"] == np.__version__


def test_the_commit_is_that_of_the_checkout_and_says_when_it_was_changed(tmp_path: Path):
    assert _commit(tmp_path) == ""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v1")
    head = git("rev-parse", "HEAD")
    assert _commit(tmp_path) == head
    (tmp_path / "a.py").write_text("a = 2\n")
    assert _commit(tmp_path) == f"{head}-dirty"
