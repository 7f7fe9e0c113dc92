"""A report replaces the files of an earlier report, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.errors import OptionError
from analysis.report import write_report
from analysis.report.earlier import check_files, check_folder, earlier_files
from analysis.report.html import page
from tests.suites.made_studies import plain


@pytest.fixture(autouse=True)
def _without_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without its scripts takes a hundredth of the time."""
    monkeypatch.setattr(page, "vega_script", lambda: "")


SUMMARY = {"source": "", "seed": 0, "groups": [], "answer": {}}


def earlier(folder: Path, figures: list[object], tables: list[object]) -> None:
    values = SUMMARY | {"figures": figures, "tables": tables}
    (folder / "summary.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    "name",
    ["report.html", "summary.json", "figures/a.png", "figures/b.svg", "tables/runs.csv"],
)
def test_files_of_others_are_refused_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OptionError, match=rf"holds {name}, which no report .* --overwrite"):
        write_report(plain(2, 2), tmp_path, contents=())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_report_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    """Files that the new report lacks are removed; files of others stay."""
    earlier(tmp_path, ["old.one"], ["runs", "old"])
    (tmp_path / "figures").mkdir()
    (tmp_path / "tables").mkdir()
    old = ["report.html", "figures/old.one.svg", "tables/old.csv"]
    mine = ["figures/mine.svg", "tables/notes.csv"]
    for name in [*old, *mine]:
        (tmp_path / name).write_text("before")
    for _ in range(2):
        write_report(plain(2, 2), tmp_path, contents=())
        assert (tmp_path / "report.html").read_text() != "before"
        assert not (tmp_path / "figures/old.one.svg").exists()
        assert not (tmp_path / "tables/old.csv").exists()
        assert all((tmp_path / name).read_text() == "before" for name in mine)


def test_a_file_in_the_way_of_one_table_is_refused(tmp_path: Path) -> None:
    earlier(tmp_path, [], [])
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/runs.csv").write_text("mine")
    check_folder(tmp_path)
    with pytest.raises(OptionError, match=r"holds tables/runs\.csv"):
        write_report(plain(2, 2), tmp_path, contents=())
    write_report(plain(2, 2), tmp_path, contents=(), overwrite=True)
    assert (tmp_path / "tables/runs.csv").read_text() != "mine"


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, json.dumps(SUMMARY), "\ud800"])
def test_a_summary_of_somebody_else_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_bytes(text.encode(errors="surrogatepass"))
    assert earlier_files(tmp_path) == set()
    with pytest.raises(OptionError, match=r"holds summary\.json"):
        check_folder(tmp_path)


def test_a_summary_names_no_files_outside_of_its_folder(tmp_path: Path) -> None:
    """They would be removed."""
    earlier(tmp_path, ["../../x", "a/b", 1], ["/etc/x", "runs"])
    names = {name for name in earlier_files(tmp_path) if "/" in name}
    assert names == {"tables/runs.csv"}
    check_files(tmp_path, ["tables/runs.csv"])
