"""No module outside `seedlab/compat` uses what other libraries keep private."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OWN = ("seedlab", "analysis", "hydra_plugins")
DOCUMENTED = ("_asdict", "_replace", "_fields", "_make", "_exit")
"""Names of the standard library that begin with an underscore and are documented."""
UNDOCUMENTED = (
    *("torch._C", "torch.ops", "torch.native_layer_norm"),
    *("transformers.masking_utils", "hydra.core.singleton"),
)
"""Private without an underscore: no page of the library's documentation describes them."""


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` of an attribute chain that begins with a name; else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def undocumented(name: str) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in UNDOCUMENTED)


def declared(tree: ast.AST) -> set[str]:
    """Return the attributes that a module gives to its own classes and modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for whole in targets:
                for target in whole.elts if isinstance(whole, ast.Tuple) else [whole]:
                    if isinstance(target, ast.Name):
                        names.add(target.id)
                    elif isinstance(target, ast.Attribute) and dotted(target.value) == "self":
                        names.add(target.attr)
    return names


def violations(source: str) -> Iterator[str]:
    """Yield every use of a private name that the module itself does not declare."""
    tree = ast.parse(source)
    own = declared(tree)
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            if undocumented(dotted(node)) or (
                private(node.attr)
                and node.attr not in own
                and dotted(node.value) not in ("self", "cls")
            ):
                yield f"line {node.lineno}: {dotted(node) or node.attr}"
        elif isinstance(node, ast.Call) and dotted(node.func) in ("getattr", "hasattr", "setattr"):
            asked = node.args[1]
            if isinstance(asked, ast.Constant) and private(str(asked.value)):
                yield f"line {node.lineno}: {dotted(node.func)}(..., '{asked.value}')"
        for name in names:
            root, *rest = name.split(".")
            if root not in OWN and (undocumented(name) or any(private(part) for part in rest)):
                yield f"line {node.lineno}: {name}"


MODULES = [
    path
    for package in OWN
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.parent != ROOT / "seedlab" / "compat"
]


def test_no_module_uses_private_names_of_a_library() -> None:
    assert len(MODULES) > 200
    found = [
        f"{path.relative_to(ROOT)}, {violation}"
        for path in MODULES
        for violation in violations(path.read_text())
    ]
    assert not found, "wrap these in seedlab/compat, with a canary test: " + "; ".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch._foreach_mul_(a, b)", "torch._foreach_mul_"),
        ("torch.ops.aten.gelu.out(x)", "torch.ops"),
        ("f().trial._trial_id", "_trial_id"),
        ("from torch.utils._python_dispatch import X", "torch.utils._python_dispatch.X"),
        ("import hydra._internal", "hydra._internal"),
        ("from transformers.masking_utils import eager_mask", "masking_utils.eager_mask"),
        ("hasattr(model, '_can')", "hasattr(..., '_can')"),
    ],
)
def test_a_private_name_is_found(source: str, expected: str) -> None:
    assert any(expected in found for found in violations(source))


def test_own_and_documented_names_are_allowed() -> None:
    source = """
        from seedlab.store import _x
        class A:
            _memory: dict
            def __init__(self): self._views, self._b = 1, 2
            def f(self, other): return other._views, other._memory, self._inherited, cls._made
        point._asdict(), point._replace(x=1), os._exit(1), a.__dict__
    """
    assert not list(violations(textwrap.dedent(source)))
