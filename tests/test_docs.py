"""The documentation is true: commands parse, the tutorial runs, links lead somewhere."""

from __future__ import annotations

import pkgutil
import re
import runpy
import shlex
from pathlib import Path

import pytest

from seedlab.commands.cli import main
from seedlab.config.overrides import rewrite
from tests.test_directions import ANALYSIS_LAYERS, LAYERS

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "docs", ROOT / "experiments")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
DESIGN = [ROOT / "docs" / name for name in ("architecture.md", "extending.md")]
BASES = [ROOT, ROOT / "seedlab", ROOT / "seedlab" / "engines" / "packed"]
"""Folders to which paths of these pages are relative."""
TOPS = "seedlab|analysis|hydra_plugins|tests|conf|docs|experiments"
BLOCK = re.compile(r"^```(?:console)?\n(.*?)^```", re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """Return the `seedlab` commands in a page's code blocks."""
    lines = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    found = [line.split("  #")[0].strip() for line in lines]
    found = [re.sub(r"^(\$ )?([A-Z_]+=\S+ )*", "", line) for line in found]
    return [shlex.split(line)[1:] for line in found if line.startswith("seedlab ")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_name_what_exists(page: Path) -> None:
    for words in commands(page):
        if words[0] == "run":
            rewrite([word for word in words[1:] if word != "..."])


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files that a page links to, each with the heading's address or nothing."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    parts = [target.partition("#") for target in targets if not target.startswith("http")]
    return [((page.parent / path).resolve() if path else page, place) for path, _, place in parts]


def addresses(page: Path) -> set[str]:
    """Return the addresses of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, place in links(page):
        assert path.exists(), path
        assert not place or place in addresses(path), (path, place)


def test_the_index_links_every_page() -> None:
    """And a how-to page is linked from where a reader needs it, too."""
    index = ROOT / "docs" / "README.md"
    linked = {path for path, _ in links(index)}
    assert not {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - linked - {index}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "experiments")} <= linked
    assert index in {path for path, _ in links(ROOT / "README.md")}
    report = ROOT / "docs" / "how-to" / "report.md"
    for page in ("tutorial.md", "how-to/own-data.md", "how-to/stop-early.md"):
        assert report in {path for path, _ in links(ROOT / "docs" / page)}, page


def test_the_table_of_techniques_is_the_codes() -> None:
    """`make docs` writes it."""
    written = runpy.run_path(str(ROOT / "docs" / "write_technique_table.py"))
    page = written["PAGE"].read_text()
    assert written["with_table"](page) == page


def test_the_page_of_all_keys_is_the_codes() -> None:
    """`make docs` writes it."""
    written = runpy.run_path(str(ROOT / "docs" / "write_configuration.py"))
    assert written["PAGE"].read_text() == written["page"]()


@pytest.mark.parametrize("page", DESIGN, ids=name)
def test_paths_exist(page: Path) -> None:
    """Of modules, and of folders of this repository. NAME stands for a new file."""
    text = page.read_text()
    paths = set(re.findall(r"(?<![\w/.-])(?:[\w-]+/)*[\w-]+\.py\b(?!\.)", text))
    paths.update(re.findall(rf"(?<![\w/.-])(?:{TOPS})/[\w/.-]*\w", text))
    paths.update(re.findall(r"^ +[A-Za-z][\w ,]+  ((?:[a-z_]+/)+[a-z_]*)(?![\w.*])", text, re.M))
    assert paths
    old = [path for path in paths if "NAME" not in path]
    assert not [path for path in old if not any((base / path).exists() for base in BASES)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_dotted_names_can_be_imported(page: Path) -> None:
    for dotted in re.findall(r"`((?:seedlab|analysis)(?:\.\w+)+)`", page.read_text()):
        if dotted != "seedlab.json":  # a file of a saved model
            pkgutil.resolve_name(dotted)


@pytest.mark.parametrize("page", DESIGN, ids=name)
def test_named_classes_exist(page: Path) -> None:
    """In the product, its suites, or transformers."""
    sources = [path for top in TOPS.split("|") for path in (ROOT / top).rglob("*.py")]
    known = set(re.findall(r"^class (\w+)", "\n".join(p.read_text() for p in sources), re.M))
    named = re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", page.read_text())
    assert named
    assert not set(named) - known - {"AutoModelForSequenceClassification"}


def test_the_table_of_the_packed_engine_names_every_module() -> None:
    cells = re.findall(r"^\| ([\w., ]+\.py) \|", DESIGN[0].read_text(), re.M)
    modules = {path.name for path in BASES[2].glob("*.py")} - {"__init__.py"}
    assert sorted(", ".join(cells).split(", ")) == sorted(modules)


@pytest.mark.parametrize("layers", [LAYERS, ANALYSIS_LAYERS], ids=["seedlab", "analysis"])
def test_the_layers_of_the_page_are_those_of_the_code(layers: tuple[tuple[str, ...], ...]) -> None:
    """In the same order, whatever the order within a layer."""
    rows = re.findall(r"^\| (\d*) ?\| (`[a-z_.`, ]+`) \|", DESIGN[0].read_text(), re.M)
    top = layers[-1][-1].split(".")[0]
    written: list[set[str]] = []
    for number, cell in rows:
        packages = set(re.findall(r"`([\w.]+)`", cell))
        if {package.split(".")[0] for package in packages} & {top}:
            if number:
                assert int(number) == len(written) + 1
                written.append(set())
            written[-1] |= packages
    assert written == [set(packages) for packages in layers]


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(ROOT / "docs" / "tutorial.md"):
        assert main(words) == 0
    assert (tmp_path / "tutorial-model" / "model.safetensors").is_file()
    images = runpy.run_path(str(ROOT / "docs" / "write_tutorial_images.py"))["IMAGES"]
    for image, figure in images.items():
        assert (ROOT / "docs" / "images" / image).is_file()
        assert (tmp_path / "tutorial-report" / "figures" / figure).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_holds_a_merge_conflict(page: Path) -> None:
    marks = [line for line in page.read_text().splitlines() if re.match(r"<{7} |>{7} ", line)]
    assert not marks
