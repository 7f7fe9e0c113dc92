"""Figures of diagnostics: valid, and of the values of their tables."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import vl_convert

from analysis.errors import TableError
from analysis.figures.depths import distance_by_depth, profile_over_steps, similarity_by_depth
from analysis.figures.surface import contour_levels, loss_barrier, loss_surface
from analysis.figures.theme import log_ticks, spec_of
from analysis.figures.training import correction_figure, loss_against_score
from analysis.training.final_losses import final_losses
from analysis.training.layer_profiles import distances_at_end, profile_medians
from analysis.training.run_similarity import run_similarity, similarity_by_kind
from tests.suites.made_diagnostics import DEPTHS, line, plane, watched


@pytest.fixture(scope="module")
def study():
    return watched()


def figures(study):
    ends = distances_at_end(study)
    norms = profile_medians(study, "gradient_norm").query("not failed")
    summary = similarity_by_kind(run_similarity(study))
    losses = final_losses(study).assign(label="devlin")
    return {
        "distances": distance_by_depth(ends, ["devlin"] * len(ends)),
        "two": distance_by_depth(pd.concat([ends, ends]), ["a"] * DEPTHS + ["b"] * DEPTHS),
        "moving": profile_over_steps(profile_medians(study, "distance"), quantity="distance"),
        "norms": profile_over_steps(norms, quantity="norm", log=True, domain=(1e-9, 1.0)),
        "cka": similarity_by_depth(summary, "cka"),
        "procrustes": similarity_by_depth(summary, "procrustes"),
        "losses": loss_against_score(losses, metric="accuracy"),
        "correction": correction_figure(200, 20),
        "early": correction_figure(200, 2),
        "one step": correction_figure(1, 0),
        "surface": loss_surface(plane()),
        "line": loss_barrier(line()),
        "scores on a line": loss_barrier(line(), "score", name="accuracy"),
    }


def test_every_figure_is_valid_drawn_and_told_apart_without_colour(study):
    for name, chart in figures(study).items():
        chart.to_dict()  # Validates against the schema of Vega-Lite.
        spec = spec_of(chart)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            svg = vl_convert.vegalite_to_svg(spec)
        assert "NaN" not in svg, name
        assert svg.count("<path") > 5, name
        for layer in spec["layer"]:
            coded = layer.get("encoding", {})
            if coded.get("color", {}).get("type") == "nominal" and layer["mark"]["type"] != "rule":
                assert {"shape", "strokeDash"} & set(coded), name


def test_a_figure_shows_the_values_of_its_table(study):
    ends = distances_at_end(study)
    shown = data_of(distance_by_depth(ends, ["devlin"] * len(ends)))[0]
    assert [row["median"] for row in shown] == ends["median"].tolist()
    norms = profile_medians(study, "gradient_norm").query("not failed")
    frozen = norms.assign(median=norms["median"].where(norms["depth"] != 2, 0.0))
    layers, outer, _ = data_of(profile_over_steps(frozen, quantity="norm", log=True))
    assert {row["depth"] for row in layers} == {1, 3}
    assert {row["place"] for row in outer} == {"embeddings", "head"}
    with pytest.raises(TableError, match=r"every layer is frozen"):
        profile_over_steps(norms.assign(median=0.0), quantity="norm", log=True)


def data_of(chart):
    """The rows of every layer that has data of its own, in order."""
    spec = spec_of(chart)
    names = [layer["data"]["name"] for layer in spec["layer"] if "data" in layer]
    if "data" in spec:
        names.insert(0, spec["data"]["name"])
    return [spec["datasets"][name] for name in dict.fromkeys(names)]


def test_many_steps_are_thinned_and_the_last_is_kept():
    step = np.arange(1000)
    table = pd.DataFrame(
        {"step": step, "depth": 1, "place": "1", "median": 1.0 + step, "n_runs": 1}
    )
    both = pd.concat([table, table.assign(depth=2, place="head")])
    shown = data_of(profile_over_steps(both, quantity="distance"))[0]
    assert len(shown) == 120
    assert (shown[0]["step"], shown[-1]["step"]) == (0, 999)


def test_ticks_of_logarithmic_axes():
    assert log_ticks(0.04, 3) == [0.05, 0.1, 0.2, 0.5, 1, 2]
    assert log_ticks(1, 1e6) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]


def test_cells_of_a_surface_meet_and_levels_rise(tmp_path):
    table = plane()
    table.loc[3, "loss"] = np.nan
    cells = data_of(loss_surface(table))[0]
    assert len(cells) == 24
    edges = sorted({(cell["a_low"], cell["a_high"]) for cell in cells})
    assert edges[0][0] == -0.75
    assert all(one[1] == two[0] for one, two in itertools.pairwise(edges))
    levels = contour_levels(table["loss"].dropna())
    assert levels == sorted(set(levels))
    assert table["loss"].min() < levels[0] < levels[-1] < table["loss"].max()
    assert contour_levels(pd.Series([0.7, 0.7])) == [0.7]
    with pytest.raises(TableError, match=r"no finite loss"):
        loss_surface(table.assign(loss=np.nan))


def test_the_barrier_stands_between_the_mean_of_the_ends_and_the_worst_value():
    for quantity, worst, mean, text in (("loss", 1.35, 0.35, "1"), ("score", 0.6, 0.8, "0.2")):
        [mark], values = data_of(loss_barrier(line(), quantity))
        assert (mark["at"], mark["mean"], mark["worst"]) == (0.5, mean, worst)
        assert mark["text"] == f"barrier {text}"
        assert [row[quantity] for row in values] == pytest.approx(line()[quantity].tolist())
    gap = line()
    gap.loc[2, "loss"] = np.nan
    assert len(data_of(loss_barrier(gap))) == 1  # No barrier is drawn where a value is missing.
    with pytest.raises(TableError, match=r"the line holds no finite loss"):
        loss_barrier(gap.assign(loss=np.nan))
