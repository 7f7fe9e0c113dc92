"""Texts that Vega cuts between two units of UTF-16 are cut between grapheme clusters before."""

import altair as alt
import pandas as pd
import pytest
import vl_convert

from analysis.figures.drawable import cut, drawable, fitting
from analysis.figures.theme import WIDTH, save_spec, spec_of, vegalite_version

FAMILY = "👨‍👩‍👧‍👦"
GERMANY = "🇩🇪"
ENGLAND = "🏴󠁧󠁢󠁥󠁮󠁧󠁿"
LONG = [f"{FAMILY * 12}{end}" for end in "ab"]


def chart(names):
    frame = pd.DataFrame({"recipe": names, "score": range(len(names))})
    return alt.Chart(frame).mark_point().encode(y="recipe:N", x="score:Q", color="recipe:N")


@pytest.mark.parametrize("cluster", [FAMILY, GERMANY, ENGLAND, "e\u0301", "👍🏽", "क्षि"])
def test_no_cluster_is_cut_in_two(cluster):
    """At every width, what is left of a text of equal clusters is whole clusters."""
    for cells in range(1, 40):
        kept = cut(cluster * 30, cells).removesuffix("…")
        assert kept == cluster * (len(kept) // len(cluster))
        assert len(kept) // len(cluster) == (cells - 1) // 2


@pytest.mark.parametrize("text", ["devlin", "x" * 500, "漢" * 500, "a – b × c", "lr=2e-05 · β"])
def test_texts_of_single_units_are_left_to_vega(text):
    assert drawable({"title": text}) == {"title": text}
    assert fitting(text, 100) == text


def test_names_that_differ_stay_different_and_agree_in_data_and_domain():
    made = chart(LONG).encode(color=alt.Color("recipe:N", scale=alt.Scale(domain=LONG)))
    spec = spec_of(made)
    (data,) = spec["datasets"].values()
    shown = [row["recipe"] for row in data]
    assert len(set(shown)) == 2
    assert all(name.startswith(FAMILY) and "…" in name for name in shown)
    assert spec["encoding"]["color"]["scale"]["domain"] == shown
    assert spec["data"]["name"] in spec["datasets"]


def test_labels_of_several_lines_are_cut_line_by_line():
    """A figure with folded labels has no limit of its own, which Vega writes as 0."""
    folded = {"title": "rte,\nit's <b>", "axis": {"labelLimit": 0}}
    assert drawable(folded) == folded
    family = {"title": f"rte\n{FAMILY * 30}", "axis": {"labelLimit": 0}}
    first, second = drawable(family)["title"].split("\n")
    assert first == "rte"
    assert second.startswith(FAMILY)
    assert second.endswith("…")


def test_expressions_are_no_texts():
    spec = {"transform": [{"filter": f"datum.recipe == '{LONG[0]}'"}], "title": "t"}
    assert drawable(spec) == spec


@pytest.mark.parametrize(
    "names",
    [LONG, [GERMANY * 30, "b"], ["a\0b", "\x1b[31m"]],
    ids=["family", "flags", "controls"],
)
def test_every_name_is_drawn(tmp_path, names):
    spec = spec_of(chart(names))
    svg = vl_convert.vegalite_to_svg(spec, vl_version=vegalite_version())
    assert not {"\0", "\x1b"} & set(svg)


def test_half_a_character_becomes_the_replacement_character():
    assert drawable({"title": "x\ud83d"}) == {"title": "x\ufffd"}


def test_a_long_title_is_drawn(tmp_path):
    spec = spec_of(chart(["a"])) | {"title": f"heat map: {LONG[0]}{LONG[1]}{'x' * WIDTH}"}
    save_spec(spec, tmp_path / "figure")
    assert "heat map: 👨‍👩‍👧‍👦" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
