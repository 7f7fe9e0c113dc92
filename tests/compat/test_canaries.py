"""Every wrapper has a canary, and a failed canary names library, version and wrapper."""

from __future__ import annotations

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.suites.canary import canary

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(p for p in (ROOT / "seedlab" / "compat").glob("*.py") if p.name != "__init__.py")


def wrappers(path: Path) -> set[str]:
    """Return the public functions, values and re-exported classes of a module."""
    names = set()
    body = ast.parse(path.read_text()).body
    typed = [part for node in body if isinstance(node, ast.If) for part in node.body]
    for node in (*body, *typed):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.asname for alias in node.names if alias.asname is not None)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_wrapper_has_a_canary(path: Path) -> None:
    text = (Path(__file__).parent / f"test_{path.name}").read_text()
    tested = set(re.findall(rf'"{path.stem}\.(\w+)', text))
    if path.stem == "torch_private":
        tested |= set(re.findall(r'^    "(foreach_\w+)": \(', text, flags=re.MULTILINE))
    assert wrappers(path), path
    assert wrappers(path) == tested


def test_a_failed_canary_says_what_to_do() -> None:
    expected = (
        f"torch {version('torch')} no longer does what seedlab.compat.torch_private.gelu_out relies "
        "on (AttributeError: gone); adapt the wrapper, or lower the cap of torch in pyproject.toml."
    )
    with (
        pytest.raises(AssertionError, match=re.escape(expected)),
        canary("torch", "torch_private.gelu_out"),
    ):
        raise AttributeError("gone\nmore")
