"""Every figure is valid Vega-Lite, is drawn without complaint, and shows what it should."""

import math
import warnings

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from analysis.best_of_n.expected_max_table import expected_max_table
from analysis.data.labels import file_stems, group_labels
from analysis.data.study import Group, Study
from analysis.ensembles.table import ensemble_table
from analysis.errors import TableError
from analysis.figures import curves, densities, scores, seeds, stopping
from analysis.figures.best_of import best_of_compute, best_of_recipes, expected_best
from analysis.figures.comparison import (
    improvement,
    instability_figure,
    profiles,
    signal_and_noise,
)
from analysis.figures.ensembles import ensemble_figure
from analysis.figures.heatmap import heatmap, heatmap_cells
from analysis.figures.labels import apart, folded
from analysis.figures.predictions.disagreement import shared_seeds_figure
from analysis.figures.predictions.votes import votes_figure
from analysis.figures.theme import DASHES, SERIES, rows, save_figure, series_scale, spec_of
from analysis.stopping.value import early_stopping_table
from analysis.variance.components import variance_components
from tests.suites.made_studies import complete, curved, plain


def early_table(study, **options):
    table = study.complete_curves().merge(study.runs[["run", "task", "recipe"]], on="run")
    return early_stopping_table(
        table, generator=np.random.default_rng(0), budgets=range(1, 6), splits=1, **options
    )


def best_table(study):
    ends = study.complete_runs().assign(score=lambda r: r["final_score"])
    return expected_max_table(ends, study.complete_curves())


def all_figures():
    from analysis.comparison.compare import compare
    from analysis.comparison.consistency import consistency
    from analysis.comparison.instability import instability
    from analysis.comparison.robust_scores import profile_table
    from analysis.comparison.shared_seeds import disagreement_by_seeds
    from analysis.stopping.rank_correlation import fraction_correlations
    from analysis.variance.failure_rates import failure_rates
    from analysis.variance.noise_floor import noise_floor
    from analysis.variance.seed_effects import best_and_worst_seeds, seed_means

    generator = np.random.default_rng(0)
    study = complete(recipes=("a", "b"))
    one = study.subset(recipe="a")
    table = one.complete_curves().merge(one.runs[["run", "task", "recipe"]], on="run")
    shares = variance_components(one)
    compared = compare(study, generator).assign(label="b over a")
    profile = profile_table(study, generator).assign(label=lambda t: t["recipe"])
    rates = failure_rates(study)
    replay = pd.DataFrame(
        {
            "policy": ["median", "median"], "budget": [1, 2], "expected_best": [0.6, 0.7],
            "standard_error": 0.01, "baseline": [0.6, 0.65], "cost": [1.0, 2.0],
        }
    )  # fmt: skip
    bought = {"unbiased": "expected_best", "band_lower": "lower", "band_upper": "upper"}
    budgets = best_table(study).query("schedule == 'every'").rename(columns=bought)
    noise = {"label": ["t", "u"], "signal": [0.1, 0.0], "noise_steps": [0.02, 0.03]}
    return {
        "heatmap": heatmap(one),
        "curves": curves.validation_curves(one),
        "losses": curves.loss_bands(one),
        "strips": scores.score_strips(study, noise_floor(study)),
        "failures": scores.failure_figure(rates, ["a", "b"]),
        "shares": seeds.variance_shares(shares, list(shares["subset"])),
        "ranking": seeds.seed_ranking(one, seed_means(one), generator),
        "extremes": densities.best_worst_densities(best_and_worst_seeds(one)),
        "expected": expected_best(best_table(one)),
        "recipes": best_of_recipes(best_table(study).query("schedule == 'every'")),
        "budgets": best_of_compute(budgets.assign(updates=100 * budgets["n"]), "updates"),
        "signal": signal_and_noise(pd.DataFrame(noise).assign(noise_seeds=0.05)),
        "value": stopping.stopping_value(early_table(one)),
        "plans": stopping.stopping_plans(early_table(one)),
        "ranks": stopping.rank_heatmap(fraction_correlations(table)),
        "replay": stopping.replay_values(replay),
        "improvement": improvement(compared),
        "profiles": profiles(profile),
        "instability": instability_figure(instability(study), ["a", "b"]),
        "ensembles": ensemble_figure(ensemble_table(one, generator)),
        "votes": votes_figure(consistency(one)),
        "shared seeds": shared_seeds_figure([("a", disagreement_by_seeds(one))]),
    }


@pytest.fixture(scope="module")
def figures():
    return all_figures()


def test_every_figure_is_valid_and_drawn(figures):
    for name, chart in figures.items():
        with alt.data_transformers.enable("default", max_rows=None):
            chart.to_dict()  # Validates against the schema of Vega-Lite.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            svg = vl_convert.vegalite_to_svg(spec_of(chart))
        assert "NaN" not in svg, name
        assert svg.count("<path") > 5, name


def test_no_figure_rests_on_colour_alone(figures):
    """A legend by colour goes with one by dash or shape, or tells a continuous scale."""
    for name, chart in figures.items():
        spec = spec_of(chart)
        layers = spec.get("layer", [spec])
        nominal = {
            layer["encoding"]["color"]["field"]
            for layer in layers
            if layer.get("encoding", {}).get("color", {}).get("type") == "nominal"
            and len(layer["encoding"]["color"].get("scale", {}).get("domain", [])) > 1
        }
        doubled = {
            layer["encoding"][channel]["field"]
            for layer in layers
            for channel in ("shape", "strokeDash")
            if layer.get("encoding", {}).get(channel, {}).get("field")
        }
        assert nominal <= doubled, name


def layers_of(spec):
    return spec.get("layer", [spec])


def test_every_figure_has_tooltips_of_the_point_under_the_pointer(figures):
    """A line is one mark: its tooltip tells its first point, wherever the pointer is."""
    varying = {"fraction", "n", "budget", "step", "threshold", "score", "share", "x"}
    for name, chart in figures.items():
        told = []
        for layer in layers_of(spec_of(chart)):
            tips = layer.get("encoding", {}).get("tooltip", [])
            fields = {tip["field"] for tip in (tips if isinstance(tips, list) else [tips])}
            kind = layer["mark"]["type"]
            assert kind != "line" or not fields & varying, name
            told += fields
        assert told, name


def test_the_worst_run_is_dashed_only_where_it_failed():
    study = curved()
    for failed, dash in ((True, [6, 3]), (False, [1, 0])):
        runs = study.runs.assign(failed=study.runs["failed"] & failed)
        spec = spec_of(curves.validation_curves(Study(runs, study.curves)))
        scale = next(
            layer["encoding"]["strokeDash"]["scale"]
            for layer in layers_of(spec)
            if "which" in str(layer.get("encoding", {}).get("strokeDash"))
        )
        looks = dict(zip(scale["domain"], scale["range"], strict=True))
        assert looks["worst run"] == dash
        assert looks["best run"] == [1, 0]


def test_a_screen_reader_is_told_the_seeds_of_a_cell():
    svg = vl_convert.vegalite_to_svg(spec_of(heatmap(curved())))
    assert 'aria-label="init seed 0, order seed 0, accuracy 0.5199, failed"' in svg
    assert "with 6 values: 1, 2" not in svg


def test_pruners_of_one_budget_stand_side_by_side():
    table = pd.DataFrame(
        {
            "policy": ["median", "successive_halving"], "budget": [2, 2],
            "expected_best": [0.6, 0.61], "standard_error": 0.01, "baseline": 0.6, "cost": 2.0,
        }
    )  # fmt: skip
    spec = spec_of(stopping.replay_values(table))
    [data] = spec["datasets"].values()
    assert len({row["x"] for row in data}) == len(data) == 3
    assert {layer["mark"]["type"] for layer in layers_of(spec)} == {"rule", "line", "point"}


def test_36_series_look_different():
    names = [str(k) for k in range(36)]
    ranges = [series_scale(names, looks).to_dict()["range"] for looks in (SERIES, DASHES)]
    assert len({(color, tuple(dash)) for color, dash in zip(*ranges, strict=True)}) == 36


def test_long_names_are_folded_and_not_cut():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    names = ["short", "a_name_of_many_parts_it_has", family * 30, "x" * 200, "x" * 201]
    found = folded(names, line=10)
    assert list(found) == names
    assert found["short"] == "short"
    assert found[names[1]].replace("\n", "") == names[1]
    assert all(len(line) <= 10 for line in found[names[1]].split("\n"))
    assert len(set(found.values())) == len(names)
    for line in found[names[2]].replace("...", "").split("\n"):
        assert line == family * line.count(family)


def test_a_heatmap_of_equal_scores_and_of_a_diagonal():
    for study in (plain(1, 1), plain(2, 2, score=0.6)):
        spec = spec_of(heatmap(study))
        low, high = spec["layer"][0]["encoding"]["color"]["scale"]["domain"]
        assert 0.5 < low < high < 0.7
    study = plain(6, 6)
    runs = study.runs.loc[study.runs["init_seed"] == study.runs["order_seed"]]
    assert "no run" not in str(spec_of(heatmap(Study(runs.reset_index(drop=True))))["layer"])


def test_of_a_large_grid_a_hundred_seeds_are_drawn():
    study = plain(120, 4)
    cells, names = heatmap_cells(study)
    inside = cells.loc[cells["state"] != "mean"]
    assert inside["init"].nunique() == 100
    assert len(names["y"]["mean"]) == 102
    means = study.grid().mean(axis=1)
    assert {str(means.idxmax()), str(means.idxmin())} <= set(inside["init"])
    strip = cells.loc[(cells["state"] == "mean") & (cells["init"] == "all")]
    assert strip["score"].tolist() == pytest.approx(study.grid().mean(axis=0).tolist())
    spec = spec_of(scores.score_strips(plain(60, 60)))
    points = next(data for data in spec["datasets"].values() if "seeds" in data[0])
    assert len(points) == 1_000


def test_files_for_a_paper(tmp_path, figures):
    paths = save_figure(figures["failures"], tmp_path / "in" / "a.name", title="A <title>")
    assert [p.name for p in paths] == ["a.name.svg", "a.name.pdf", "a.name.png"]
    assert "A &lt;title>" in paths[0].read_text() or "A &lt;title&gt;" in paths[0].read_text()
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_heatmap_orders_rows_and_columns_by_what_is_asked():
    study = curved()
    cells, names = heatmap_cells(study)
    grid = study.grid()
    for axis, means in (("y", grid.mean(axis=1)), ("x", grid.mean(axis=0))):
        ranked = means.sort_values(ascending=False).index
        assert names[axis]["mean"] == [*map(str, ranked), "", "mean"]
    best = grid.max(axis=1).sort_values(ascending=False, kind="stable").index
    assert names["y"]["best"][0] == str(best[0])
    assert names["y"]["seed"] == ["0", "1", "2", "3", "", "mean"]
    # The one failed run is init 0, order 0: fewest failures first puts init 0 last.
    assert names["y"]["failures"][3] == "0"
    one = cells.loc[cells["cell"] == "2/1"].iloc[0]
    assert names["y"]["mean"][int(one["y_mean"]) - 1] == "2"
    assert one["score"] == grid.loc[2, 1]


def test_heatmap_shows_missing_stopped_and_failed_cells_and_their_means():
    study = curved()
    runs = study.runs.drop(index=[5]).reset_index(drop=True)
    runs.loc[6, ["complete", "status"]] = [False, "running"]
    cells, _ = heatmap_cells(Study(runs, study.curves))
    state = cells.set_index("cell")["state"]
    assert state["0/0"] == "failed"
    assert state["1/1"] == "no run"
    stopped = runs.loc[6]
    assert state[f"{stopped['init_seed']}/{stopped['order_seed']}"] == "stopped early"
    strips = cells.loc[cells["state"] == "mean"]
    assert len(strips) == 8
    kept = runs.loc[runs["complete"]]
    row = strips.loc[(strips["order"] == "all") & (strips["init"] == "1"), "score"].item()
    assert row == pytest.approx(kept.loc[kept["init_seed"] == 1, "score"].mean())
    # Of runs that were chosen by their scores there are no means, and the chosen are shown.
    chosen, _ = heatmap_cells(Study(runs.replace({"status": {"running": "stopped"}}), study.curves))
    assert set(chosen["state"]) == {"finished", "failed", "stopped early", "no run"}
    assert chosen["score"].notna().sum() == len(kept)


def test_lower_is_better_turns_order_and_colours_round():
    study = curved()
    turned = Study(study.runs.assign(higher_is_better=False), study.curves)
    _, up = heatmap_cells(study)
    _, down = heatmap_cells(turned)
    assert down["y"]["mean"][:4] == up["y"]["mean"][:4][::-1]
    text = str(spec_of(heatmap(turned)))
    assert "lower is better" in text
    assert "'reverse': True" in text


def test_heatmap_refuses_what_it_cannot_show():
    with pytest.raises(TableError, match=r"one group, got 2"):
        heatmap(curved(recipes=("a", "b")))
    with pytest.raises(
        ValueError, match=r"sort is 'name'; allowed: 'mean', 'best', 'failures', 'seed'"
    ):
        heatmap(curved(), sort="name")


def test_the_band_is_drawn_within_its_informative_range_only():
    table = best_table(curved(a=6, b=6))
    last = int(table.loc[table["band_upper"].notna() & (table["schedule"] == "every"), "n"].max())
    spec = spec_of(expected_best(table))
    text = f"band ends at n = {last}"
    assert any(text in str(rows) for rows in spec["datasets"].values())
    bands = [r for rows in spec["datasets"].values() for r in rows if "band_upper" in r]
    assert max(row["n"] for row in bands) == last < len(curved(a=6, b=6).runs)


def test_curves_highlight_best_worst_and_the_chosen_cell():
    study = curved()
    spec = spec_of(curves.validation_curves(study, chosen="1/2"))
    assert {p["name"]: p.get("value") for p in spec["params"]}["chosen"] == "1/2"
    picked = [r for rows in spec["datasets"].values() for r in rows if r.get("which") == "best run"]
    assert {r["run"] for r in picked} == {study.runs["run"][study.runs["score"].idxmax()]}


def test_many_curves_are_thinned_but_all_can_be_chosen():
    study = curved(a=15, b=15, evaluations=3)
    shown = curves.drawn_runs(study.runs)
    assert len(shown) == 200
    ranked = study.runs.sort_values("score", kind="stable")["run"]
    assert {ranked.iloc[0], ranked.iloc[-1]} <= set(shown)
    spec = spec_of(curves.validation_curves(study))
    largest = max(spec["datasets"].values(), key=len)
    assert len({row["run"] for row in largest}) == 225


def test_losses_mark_diverged_runs_and_keep_means():
    study = complete()
    runs, steps = study.runs.copy(), study.steps.copy()
    runs.loc[3, ["failed", "diverged"]] = True
    lost = (steps["run"] == runs["run"][3]) & (steps["step"] > 10)
    steps.loc[lost, "train_loss"] = math.nan
    spec = spec_of(curves.loss_bands(Study(runs, study.curves, steps)))
    band = next(r for r in spec["datasets"].values() if "mean" in r[0] and "series" not in r[0])
    good = steps.loc[~steps["run"].isin(runs.loc[runs["failed"], "run"])]
    first = good.loc[good["step"] == 1, "train_loss"]
    assert band[0]["mean"] == pytest.approx(first.mean(), rel=1e-5)
    assert (band[0]["min"], band[0]["max"]) == pytest.approx((first.min(), first.max()), rel=1e-5)
    crosses = [r for r in spec["datasets"].values() if len(r) == 1 and "loss" in r[0]]
    assert crosses[0][0]["step"] == 10


def test_figures_without_data_say_so():
    with pytest.raises(TableError, match="no evaluations"):
        curves.validation_curves(plain())
    with pytest.raises(TableError, match="no training losses"):
        curves.loss_bands(plain())
    with pytest.raises(TableError, match="failures can be judged"):
        scores.failure_figure(
            pd.DataFrame({"judged": [False], "rate": [0.0], "upper": [0.1]}), ["rte"]
        )


def test_density_integrates_to_one_even_for_equal_scores():
    grid = np.linspace(-2, 3, 2001)
    for sample in (np.array([0.1, 0.4, 0.5, 0.9]), np.full(5, 0.3), np.array([0.2])):
        mass = densities.kernel_density(sample, grid).sum() * (grid[1] - grid[0])
        assert mass == pytest.approx(1, abs=1e-6)


def test_chance_band_is_centred_where_seeds_do_not_matter():
    """The middle rank's band holds the overall mean; ranks rise."""
    band = seeds._chance_band(plain(5, 8), "init_seed", np.random.default_rng(0))
    assert (np.diff(band["low"]) > 0).all()
    assert band["low"][2] < plain(5, 8).runs["score"].mean() < band["high"][2]


def test_data_are_rounded_to_six_digits():
    frame = rows(pd.DataFrame({"x": [0.123456789, 123456789.0, 0.0, math.nan, math.inf, -2e-9]}))
    shown = frame["x"].tolist()
    assert shown[:3] == [0.123457, 123457000.0, 0.0]
    assert math.isnan(shown[3])
    assert shown[5] == pytest.approx(-2e-9)


def test_names_of_groups_and_files():
    study = curved(tasks=("rte", "<b>rte</b>"), recipes=("a", "b"))
    labels = group_labels(study)
    assert labels[Group("rte", "unspecified", "a")] == "rte, a"
    assert group_labels(curved())[Group("rte", "unspecified", "devlin")] == "rte"
    stems = file_stems({Group("A B", "", ""): "A B", Group("a-b", "", ""): "a-b"})
    assert list(stems.values()) == ["a-b", "a-b-2"]
    assert set(file_stems(labels).values()) == {"rte-a", "rte-b", "b-rte-b-a", "b-rte-b-b"}


def test_labels_stand_apart_and_in_order():
    assert apart([1.0, 5.0], 2.0, 0.0, 10.0) == [1.0, 5.0]
    assert apart([5.0, 4.5, 9.5], 2.0, 0.0, 10.0) == [6.5, 4.5, 9.5]
    assert apart([9.0, 9.5, 9.9], 2.0, 0.0, 10.0) == [6.0, 8.0, 10.0]
    # More than fit keep their distance beyond the end.
    assert apart([0.0] * 4, 2.0, 0.0, 5.0) == [0.0, 2.0, 4.0, 6.0]


def test_lines_of_ensembles_end_before_the_single_choice_of_all_runs():
    """All runs are one choice: its score is no average."""
    table = pd.DataFrame(
        {
            **{"k": [1, 2, 5, 9] * 2, "method": ["average"] * 4 + ["best"] * 4, "n_runs": 9},
            **{"score": 0.7, "mean_run": 0.7, "gain": 0.0, "lower": np.nan, "upper": np.nan},
        }
    )
    spec = spec_of(ensemble_figure(table))
    lines, labels = (
        spec["datasets"][layer["data"]["name"]]
        for layer in spec["layer"]
        if layer["mark"]["type"] in ("line", "text")
    )
    assert {row["n"] for row in lines} == {1, 2, 5}
    assert [row["series"] for row in labels] == [
        "average of k runs",
        "best of k on validation",
        "mean run",
    ]
    places = sorted(row["place"] for row in labels)
    assert np.diff(places).min() > 0
    few = spec_of(ensemble_figure(table.query("k < 3").assign(n_runs=2)))
    assert {row["n"] for rows in few["datasets"].values() for row in rows if "n" in row} == {1, 2}
