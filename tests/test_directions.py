"""The direction rules of docs/architecture.md, checked by reading imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHT = {"torch", "transformers", "numpy", "seedlab", "safetensors"}
STANDARD = set(__import__("sys").stdlib_module_names)


def modules(*places: str) -> list[Path]:
    paths = [ROOT / place for place in places]
    return [p for path in paths for p in ([path] if path.suffix else sorted(path.rglob("*.py")))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path, top_level: bool = False) -> set[str]:
    """Return the dotted names that a module imports (only at import time if asked)."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        skip = top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not skip:
            stack.extend(ast.iter_child_nodes(node))
    return found


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", modules("analysis"), ids=name)
def test_analysis_stands_alone(path: Path) -> None:
    forbidden = {"torch", "transformers", "hydra", "omegaconf", "seedlab", "datasets"}
    if path.name not in ("replay.py", "pruners.py", "ask_and_tell.py"):
        forbidden.add("optuna")
    assert not roots(imports(path)) & forbidden


@pytest.mark.parametrize("path", modules("seedlab", "hydra_plugins"), ids=name)
def test_seedlab_draws_no_figures_and_reaches_analysis_from_its_verbs_alone(path: Path) -> None:
    used = roots(imports(path))
    assert not used & {"altair", "matplotlib", "vl_convert", "itables"}
    if path.parent.name == "launch" and path.name.startswith("search"):
        # A search decides by pure functions of scores, and by nothing else of `analysis`.
        ours = {name for name in imports(path) if name.split(".")[0] == "analysis"}
        assert ours <= {"analysis.objectives", "analysis.sequential", "analysis.pruners"}
    elif path.parent.name == "launch" and path.name in ("heats.py", "rules.py"):
        # Early stopping: the rules that the offline estimates use, too.
        ours = {name for name in imports(path) if name.split(".")[0] == "analysis"}
        assert ours == {"analysis.policies"}
    elif path.name not in ("report.py",):
        assert "analysis" not in used


@pytest.mark.parametrize("path", modules("seedlab"), ids=name)
def test_only_configuration_and_launch_know_hydra(path: Path) -> None:
    allowed = path.parent.name == "launch" or path.name in ("config.py", "cli.py")
    assert allowed or not roots(imports(path)) & {"hydra", "omegaconf"}


@pytest.mark.parametrize(
    "path",
    modules(
        "seedlab/engines", "seedlab/models", "seedlab/train", "seedlab/seeds.py", "seedlab/spec.py",
        "seedlab/grid.py", "seedlab/errors.py", "seedlab/tasks/encoded.py",
        "seedlab/recipe_spec.py", "seedlab/recipes",
    ),
    ids=name,
)  # fmt: skip
def test_engines_need_torch_transformers_and_numpy_alone(path: Path) -> None:
    """So that they run on a GPU machine that has nothing else."""
    names = imports(path, top_level=True)
    assert roots(names) <= LIGHT | STANDARD
    ours = {name for name in names if name.startswith("seedlab.")}
    light = (
        *("engines", "models", "train", "recipes", "recipe_spec"),
        *("seeds", "spec", "grid", "errors", "tasks.encoded"),
    )
    assert all(name.startswith(tuple(f"seedlab.{part}" for part in light)) for name in ours)


@pytest.mark.parametrize(
    "path", modules("seedlab/models", "seedlab/recipes", "seedlab/train/optim.py"), ids=name
)
def test_models_optimisers_and_techniques_know_no_configuration(path: Path) -> None:
    forbidden = {"seedlab.spec", "seedlab.recipe_spec", "seedlab.grid", "seedlab.config"}
    assert not imports(path) & forbidden


@pytest.mark.parametrize("path", modules("seedlab/engines"), ids=name)
def test_no_engine_imports_another(path: Path) -> None:
    engines = {"seedlab.engines.serial", "seedlab.engines.packed"}
    own = f"seedlab.engines.{path.stem}"
    assert not (imports(path) & engines) - {own}


@pytest.mark.parametrize("path", modules("seedlab", "analysis", "hydra_plugins"), ids=name)
def test_modules_are_small_and_hold_one_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert path.name != "utils.py"


@pytest.mark.parametrize("path", modules("seedlab", "analysis"), ids=name)
def test_no_pickles_and_no_global_generators(path: Path) -> None:
    """cloudpickle carries tasks between processes, as Hydra's own launchers do; never files."""
    text = path.read_text().replace("cloudpickle.", "")
    for word in ("torch.load(", "pickle.load", "manual_seed(", "np.random.seed", "set_seed("):
        assert word not in text
