"""Diagnostics: tables, figures and sections that appear where the data are."""

import itertools
import json
import warnings

import numpy as np
import pandas as pd
import pytest
import vl_convert
from made_studies import complete, curved

from analysis.bias_correction import correction_factor, uncorrected_schedules
from analysis.depth_profiles import depth_names, distances_at_end, profile_medians
from analysis.end_of_training import final_losses
from analysis.figures.depths import distance_by_depth, profile_over_steps, similarity_by_depth
from analysis.figures.labels import group_labels
from analysis.figures.surface import contour_levels, loss_surface
from analysis.figures.theme import log_ticks, spec_of
from analysis.figures.training import correction_figure, loss_against_score
from analysis.report import write_report
from analysis.report.layer_readings import read_distances, read_gradients, read_surface_figure
from analysis.report.layer_sections import inner_sections
from analysis.report.results import GroupResults, analyse_training
from analysis.report.training_sections import loss_section
from analysis.run_similarity import run_similarity, similarity_by_kind
from analysis.study import Study, TableError
from analysis.surfaces import barrier, read_surface

DEPTHS = 5


def watched(**sizes):
    """A study with every diagnostic; layer d is d + step / 10 from its start, plus the run's number."""
    study = complete(a=3, b=3, **sizes)
    runs = study.runs.assign(
        bias_correction=False, beta1=0.9, beta2=0.999, total_steps=20, warmup_ratio=0.1,
        warmup_steps=np.nan,
    )  # fmt: skip
    names = list(runs["run"])
    profiles = pd.DataFrame(
        [
            (run, step, name, depth, 0.0 if step == 0 and name == "distance" else value)
            for number, run in enumerate(names)
            for step in (0, 10, 20)
            for depth in range(DEPTHS)
            for name, value in (
                ("distance", depth + step / 10 + number),
                ("gradient_norm", 2.0 ** -(depth + step)),
            )
        ],
        columns=["run", "step", "name", "depth", "value"],
    )
    rng = np.random.default_rng(0)
    tokens = pd.DataFrame(
        [
            (run, depth, example, np.ones(4) if depth == 0 else rng.normal(size=4))
            for run in names
            for depth in range(DEPTHS - 1)
            for example in range(8)
        ],
        columns=["run", "depth", "example", "values"],
    )
    return Study(runs, study.curves, study.steps, study.predictions, profiles, tokens)


def plane(examples=50, n=5, low=-0.5, high=1.5):
    """A bowl around the successful end and a ridge before the failed one."""
    axis = np.linspace(low, high, n)
    a, b = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    loss = 0.2 + a**2 + (b - 1) ** 2
    loss = np.where((a == 0.5) & (b == 0), 9.0, loss)
    points = {(0.0, 0.0): "start", (1.0, 0.0): "failed", (0.0, 1.0): "successful"}
    point = [points.get(at, "") for at in zip(a, b, strict=True)]
    return pd.DataFrame(
        {
            "failed": "0-0", "successful": "0-4", "start": "failed", "examples": examples,
            "a": a, "b": b, "point": point, "loss": loss,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def study():
    return watched()


def test_the_correction_factor_has_its_known_values():
    """Computed by hand from the formula, rounded to four digits."""
    known = {
        1: 0.3162, 2: 0.2353, 5: 0.1725, 10: 0.1532, 12: 0.1522, 20: 0.1602, 50: 0.2220,
        100: 0.3086, 200: 0.4259, 500: 0.6274, 1000: 0.7952, 3000: 0.9748,
    }  # fmt: skip
    np.testing.assert_allclose(correction_factor(list(known)), list(known.values()), atol=5e-5)
    everywhere = correction_factor(np.arange(1, 3001))
    assert int(everywhere.argmin()) + 1 == 12
    exact = np.sqrt(1 - 0.99**7) / (1 - 0.5**7)
    assert correction_factor(7, 0.5, 0.99) == pytest.approx(exact, rel=1e-12)
    assert correction_factor(3, 0.0, 0.0) == 1.0
    with pytest.raises(ValueError, match=r"step is 0; updates are counted from 1"):
        correction_factor([1, 0])
    with pytest.raises(ValueError, match=r"beta1 is 1.0"):
        correction_factor(1, beta1=1.0)


def test_runs_without_correction_are_told_with_their_warm_up(study):
    table = uncorrected_schedules(study)
    assert table[["steps", "warmup", "n_runs", "n_failed"]].to_numpy().tolist() == [[20, 2, 9, 1]]
    runs = study.runs.assign(warmup_steps=7)
    runs.loc[:3, "bias_correction"] = True
    some = uncorrected_schedules(Study(runs)).iloc[0]
    assert (some["warmup"], some["n_runs"]) == (7, 5)
    with pytest.raises(TableError, match=r"every run has bias correction"):
        uncorrected_schedules(Study(runs.assign(bias_correction="true")))
    with pytest.raises(TableError, match=r"no column 'bias_correction'"):
        uncorrected_schedules(curved())


def test_distances_are_those_of_the_last_evaluation(study):
    table = distances_at_end(study)
    assert table["place"].tolist() == depth_names(DEPTHS) == ["embeddings", "1", "2", "3", "head"]
    # Runs 0 to 8: 2 after 20 steps, the layer's number, and the run's: 4 in the middle.
    assert table["median"].tolist() == [6, 7, 8, 9, 10]
    assert (table["upper"] - table["median"]).tolist() == [4] * DEPTHS
    assert table[["n_runs", "n_failed"]].iloc[0].tolist() == [9, 1]
    words = read_distances(table, ["devlin"] * DEPTHS)
    assert (
        "devlin (9 runs, 1 failed): the head moved farthest (10), the embeddings least (6)" in words
    )


def test_medians_keep_failed_runs_apart_and_leave_broken_values_out(study):
    profiles = study.profiles.copy()
    last = profiles["run"] == study.runs["run"].iloc[8]
    profiles.loc[last, "value"] = np.nan
    table = profile_medians(Study(study.runs, profiles=profiles), "distance").query(
        "step == 20 and depth == 0"
    )
    assert table.set_index("failed")["median"].to_dict() == {True: 2.0, False: 6.0}
    assert table.set_index("failed")["n_runs"].to_dict() == {True: 1, False: 7}


def test_a_reading_of_gradients_says_how_they_changed(study):
    part = profile_medians(study, "gradient_norm").query("not failed")
    # From step 0 to step 20 every norm is halved twenty times.
    words = read_gradients(part)
    assert "the lowest layer from 0.5 to 4.8e-07 (1e+06 times smaller)" in words
    frozen = part.assign(median=part["median"].where(part["depth"] != 1, 0.0))
    assert "for the lowest layer there is none" in read_gradients(frozen)


def test_what_was_not_recorded_is_said_with_how_to_record_it():
    bare = complete(a=2, b=2)
    with pytest.raises(TableError, match=r"no distances by layer .*diagnostics.distances=true"):
        distances_at_end(bare)
    with pytest.raises(TableError, match=r"no gradient norms .*diagnostics.gradient_norms=10"):
        profile_medians(bare, "gradient_norm")
    with pytest.raises(TableError, match=r"no training losses"):
        final_losses(curved(a=2, b=2))


def test_the_loss_at_the_end_is_the_mean_of_the_last_tenth(study):
    table = final_losses(study).set_index("run")
    for run, part in study.steps.groupby("run"):
        expected = part.sort_values("step")["train_loss"].iloc[-2:].mean()
        assert table.loc[run, "train_loss"] == pytest.approx(expected)
    steps = study.steps.copy()
    steps.loc[steps.index[19], "train_loss"] = np.nan
    broken = final_losses(Study(study.runs, steps=steps))
    assert broken["train_loss"].isna().tolist() == [True] + [False] * 8


def figures(study):
    ends = distances_at_end(study)
    norms = profile_medians(study, "gradient_norm").query("not failed")
    summary = similarity_by_kind(run_similarity(study))
    losses = final_losses(study).assign(label="devlin")
    return {
        "distances": distance_by_depth(ends, ["devlin"] * len(ends)),
        "two": distance_by_depth(pd.concat([ends, ends]), ["a"] * DEPTHS + ["b"] * DEPTHS),
        "moving": profile_over_steps(profile_medians(study, "distance"), what="distance"),
        "norms": profile_over_steps(norms, what="norm", log=True, domain=(1e-9, 1.0)),
        "cka": similarity_by_depth(summary, "cka"),
        "procrustes": similarity_by_depth(summary, "procrustes"),
        "losses": loss_against_score(losses, metric="accuracy"),
        "correction": correction_figure(200, 20),
        "early": correction_figure(200, 2),
        "one step": correction_figure(1, 0),
        "surface": loss_surface(plane()),
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
    layers, outer = data_of(profile_over_steps(frozen, what="norm", log=True))
    assert {row["depth"] for row in layers} == {1, 3}
    assert {row["place"] for row in outer} == {"embeddings", "head"}
    with pytest.raises(TableError, match=r"every layer is frozen"):
        profile_over_steps(norms.assign(median=0.0), what="norm", log=True)


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
    shown = data_of(profile_over_steps(both, what="distance"))[0]
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


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_surface_is_read_as_it_was_written(tmp_path, kind):
    table, path = plane(), tmp_path / f"one.{kind}"
    write = table.to_csv if kind == "csv" else table.to_parquet
    write(path, index=False)
    read = read_surface(path)
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    # From .2 + 1 at the start over 9 to .2 + 2 at the failed end; no rise on the other way.
    assert barrier(read, "failed") == pytest.approx(9 - 2.2)
    assert barrier(read, "successful") == 0
    words = read_surface_figure(read)
    assert "1.200 at the start (head of the failed run), 2.200 where the failed run ended" in words
    assert "to the failed run's end leads over a rise of 6.8" in words


def test_files_that_are_no_surface_are_refused(tmp_path):
    path = tmp_path / "one.csv"
    for change, message in (
        (lambda t: t.iloc[1:], r"no full grid of a and b"),
        (lambda t: t.assign(point=""), r"the point 'start' is not there exactly once"),
        (lambda t: t.assign(failed=range(len(t))), r"holds several surfaces"),
        (lambda t: t.drop(columns="loss"), r"loss"),
    ):
        change(plane()).to_csv(path, index=False)
        with pytest.raises(TableError, match=message):
            read_surface(path)


def test_the_report_shows_what_was_recorded(tmp_path):
    write_report(watched(), tmp_path, surfaces=[plane(), plane().assign(failed="gone")])
    summary = json.loads((tmp_path / "summary.json").read_text())
    wanted = {
        "distances-rte", "moving-rte", "moving-rte-failed", "gradients-rte",
        "gradients-rte-failed", "cka-rte", "svcca-rte", "procrustes-rte", "surface-1",
        "correction-0-9-0-999-20-2", "ends-rte",
    }  # fmt: skip
    assert wanted <= set(summary["figures"])
    text = (tmp_path / "report.html").read_text()
    assert "Update 1 is 3.2 times too long, update 12 6.6 times" in text
    assert summary["missing"]["Loss surfaces"] == [
        "surface 2: the runs gone and 0-4 are not in the study."
    ]
    tables = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"distances", "gradient_norms", "distances_over_steps", "similarity"} <= tables
    read = pd.read_csv(tmp_path / "tables" / "similarity.csv")
    assert set(read["task"]) == {"rte"}
    assert len(read) == (DEPTHS - 1) * 36


def groups_of(study):
    labels = group_labels(study)
    found = [GroupResults(key, labels[key], labels[key], part) for key, part in study.groups()]
    for group in found:
        analyse_training(group)
    return found


def test_without_diagnostics_there_are_no_such_sections_and_one_hint():
    groups = groups_of(complete(a=2, b=2))
    assert inner_sections(groups) == []
    (hint,) = loss_section(groups).missing
    assert "diagnostics.distances=true diagnostics.gradient_norms=10" in hint
    # A table of scores from elsewhere has no losses either, and no use for the hint.
    assert all("diagnostics" not in text for text in loss_section(groups_of(curved())).missing)


def test_recipes_that_recorded_nothing_are_named_beside_those_that_did():
    study = watched(recipes=("a", "b"))
    kept = set(study.runs.loc[study.runs["recipe"] == "a", "run"])
    part = Study(
        study.runs,
        steps=study.steps,
        profiles=study.profiles.loc[study.profiles["run"].isin(kept)],
        representations=study.representations.loc[study.representations["run"].isin(kept)],
    )
    groups = groups_of(part)
    missing = {section.title: section.missing for section in inner_sections(groups)}
    assert missing["Layer by layer"] == [
        "rte, b: no distances; train with diagnostics.distances=true.",
        "rte, b: no gradient norms; train with diagnostics.gradient_norms=10.",
    ]
    assert missing["Representations of two runs"][0].startswith("rte, b: no representations were")
    assert not any("diagnostics" in text for text in loss_section(groups).missing)
