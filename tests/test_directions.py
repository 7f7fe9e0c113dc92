"""The order of layers of docs/architecture.md, checked by reading imports."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the top down. A package may import those below its own line, and none beside it.
LAYERS = (
    ("seedlab.__main__", "hydra_plugins"),
    ("seedlab.commands", "seedlab.search"),
    ("seedlab.application",),
    ("seedlab.launch", "seedlab.reproduce"),
    ("seedlab.execution",),
    ("seedlab.early_stopping", "seedlab.config"),
    ("seedlab.engines", "seedlab.store", "seedlab.inputs"),
    ("seedlab.training",),
    ("seedlab.tasks", "seedlab.models"),
    ("seedlab.spec", "seedlab.randomness"),
    ("seedlab.techniques",),
    ("seedlab.allowed", "seedlab.fields", "seedlab.lock_files"),
    (
        *("seedlab.errors", "seedlab.paths", "seedlab.durations", "seedlab.printable"),
        *("seedlab.gpu_use", "seedlab.compat", "seedlab"),
    ),
)
ANALYSIS_LAYERS = (
    ("analysis",),
    ("analysis.report",),
    ("analysis.figures", "analysis.planning", "analysis.comparison", "analysis.ensembles"),
    ("analysis.stopping", "analysis.variance", "analysis.training", "analysis.rules"),
    ("analysis.best_of_n",),
    ("analysis.data",),
    ("analysis.checks", "analysis.formatting", "analysis.names", "analysis.table_file"),
    ("analysis.errors", "analysis.rounding"),
)
LIGHT = (
    *("engines", "models", "training", "randomness", "spec", "techniques", "allowed"),
    *("errors", "fields", "tasks.encoded"),
    *("compat.torch_private", "compat.transformers_private", "compat.peft_private"),
)


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the product, by its dotted name."""
    found = {}
    for package in ("seedlab", "analysis", "hydra_plugins"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The dotted names that a module imports anywhere, functions and annotations included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            inside = whole & modules().keys()
            found.update(inside)
            if len(inside) < len(whole):
                found.add(str(node.module))
    return frozenset(found)


def roots(names: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def ours(module: str) -> set[str]:
    return set(imports(module)) & modules().keys()


def layer(module: str, layers: tuple[tuple[str, ...], ...]) -> tuple[int, str]:
    """The number of a module's layer, counted from the top, and its package."""
    matches = [
        (number, package)
        for number, packages in enumerate(layers)
        for package in packages
        if module == package or module.startswith(f"{package}.")
    ]
    assert matches, f"{module} has no layer"
    return max(matches, key=lambda match: len(match[1]))


def components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of nodes that reach each other, by transitive closure: the graph is small."""
    reached = {node: set(others) for node, others in graph.items()}
    for middle in graph:
        for node in graph:
            if middle in reached[node]:
                reached[node] |= reached[middle]
    return [
        {b for b in graph if b in reached[a] and a in reached[b]} for a in graph if a in reached[a]
    ]


@pytest.mark.parametrize("layers", [LAYERS, ANALYSIS_LAYERS], ids=["seedlab", "analysis"])
def test_no_import_goes_upwards(layers: tuple[tuple[str, ...], ...]) -> None:
    known = {package.split(".")[0] for packages in layers for package in packages}
    wrong = []
    for module in modules():
        if module.split(".")[0] not in known:
            continue
        number, package = layer(module, layers)
        for other in ours(module):
            if other.split(".")[0] in known:
                below, package_below = layer(other, layers)
                if below < number or (below == number and package != package_below):
                    wrong.append(f"{module} imports {other}")
    assert not wrong


def test_no_module_imports_itself_through_others() -> None:
    assert not components({module: ours(module) - {module} for module in modules()})


def test_no_folder_imports_itself_through_others() -> None:
    folders = {
        module: module
        if path.name == "__init__.py" or module.count(".") == 1
        else module.rpartition(".")[0]
        for module, path in modules().items()
    }
    graph: dict[str, set[str]] = {folder: set() for folder in folders.values()}
    for module, folder in folders.items():
        graph[folder] |= {folders[other] for other in ours(module)} - {folder}
    assert not components(graph)


def test_no_two_classes_share_a_name() -> None:
    """Private classes are their module's own; `Study` of tables is the public one."""
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not [name for name, times in names.items() if times > 1]


def test_analysis_stands_alone() -> None:
    for module in modules():
        if module.startswith("analysis"):
            forbidden = {"torch", "transformers", "hydra", "omegaconf", "seedlab", "datasets"}
            if module.rpartition(".")[2] not in ("replay", "pruners", "ask_and_tell"):
                forbidden.add("optuna")
            assert not roots(imports(module)) & forbidden, module


def test_seedlab_draws_no_figures_and_takes_rules_from_analysis() -> None:
    """Live code decides by the pure functions that the offline estimates use."""
    estimates = (
        *(f"seedlab.commands.verbs.{name}" for name in ("analysis_input", "report", "plan")),
        "seedlab.commands.study.rate_page",
    )
    for module in modules():
        if module.startswith("analysis"):
            continue
        assert not roots(imports(module)) & {"altair", "matplotlib", "vl_convert", "itables"}
        used = {name for name in imports(module) if name.split(".")[0] == "analysis"}
        if module.startswith(("seedlab.search", "seedlab.early_stopping")):
            assert all(name.startswith(("analysis.rules.", "analysis.errors")) for name in used)
        elif module not in estimates:
            assert not used, module


def test_only_configuration_and_launch_know_hydra() -> None:
    allowed = tuple(
        f"seedlab.{part}"
        for part in ("config", "commands.verbs.run", "application", "launch", "search", "compat")
    )
    for module in modules():
        if module.startswith("seedlab") and not module.startswith(allowed):
            assert not roots(imports(module)) & {"hydra", "omegaconf"}, module


def test_models_optimizers_and_techniques_know_no_configuration() -> None:
    parts = ("seedlab.models", "seedlab.training.techniques", "seedlab.training.optimizers")
    for module in modules():
        if module.startswith(parts):
            assert not any(name.startswith("seedlab.spec") for name in imports(module)), module


def test_no_engine_imports_another() -> None:
    engines = ("seedlab.engines.serial", "seedlab.engines.packed")
    for module in modules():
        for own, other in (engines, engines[::-1]):
            if module.startswith(own):
                assert not any(name.startswith(other) for name in imports(module)), module


BLOCKER = """
import importlib, sys

class Blocked:
    allowed = {allowed!r}
    def find_spec(self, name, path=None, target=None):
        caller = sys._getframe(1)
        while caller and caller.f_globals.get("__name__", "").startswith("importlib"):
            caller = caller.f_back
        importer = caller.f_globals.get("__name__", "") if caller else ""
        root = name.split(".")[0]
        if importer.startswith("seedlab") and root not in self.allowed:
            raise ImportError(f"{{importer}} imports {{name}}")

sys.meta_path.insert(0, Blocked())
for module in {modules!r}:
    importlib.import_module(module)
"""


def test_engines_import_with_torch_transformers_and_numpy_alone() -> None:
    """So that they run on a GPU machine that has nothing else."""
    light = [name for name in modules() if name.startswith(tuple(f"seedlab.{p}" for p in LIGHT))]
    allowed = {"torch", "transformers", "numpy", "safetensors", "seedlab"}
    allowed |= set(sys.stdlib_module_names)
    script = BLOCKER.format(allowed=allowed, modules=light)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for module in light:
        lower = {name for name in ours(module) if name not in light and name != "seedlab"}
        assert not {name for name in lower if not name.startswith("seedlab.tasks")}, module


@pytest.mark.parametrize("module", modules())
def test_modules_are_small_and_hold_one_noun(module: str) -> None:
    assert len(modules()[module].read_text().splitlines()) <= 300
    assert modules()[module].name != "utils.py"


def test_folders_hold_about_a_dozen_modules() -> None:
    counts = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    assert not {str(folder.relative_to(ROOT)) for folder, n in counts.items() if n > 16}


def test_no_pickles_and_no_global_generators() -> None:
    """cloudpickle carries tasks between processes, as Hydra's own launchers do; never files."""
    for path in modules().values():
        text = path.read_text().replace("cloudpickle.", "")
        for word in ("torch.load(", "pickle.load", "manual_seed(", "np.random.seed", "set_seed("):
            assert word not in text, path
