"""Schedules as text: the drawing says what the rates are, and fits a terminal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seedlab.application.rate_sparklines import BLOCKS, INDENT, rate_lines, sparkline
from seedlab.spec.recipe import AveragingSpec, LayerRatesSpec, RecipeSpec
from seedlab.spec.run import EvaluationSpec
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import make_plan


def lines_of(recipe: RecipeSpec, n_layers: int = 12, frozen: int = 0) -> list[str]:
    plan = make_plan(recipe, EvaluationSpec(), 1000)
    rates = learning_rates(recipe, plan, n_layers)
    sizes = [0 if depth < frozen else 7_087_872 for depth in range(n_layers + 2)]
    return rate_lines(rates, sizes, plan.warmup_steps, plan.averaging_start)


def number_in(text: str) -> float:
    plain = float(text.replace(",", "").rstrip("M"))
    return plain * 1e6 if text.endswith("M") else plain


def with_rates(**values: object) -> RecipeSpec:
    return dataclasses.replace(RecipeSpec(), layer_rates=LayerRatesSpec(**values))  # type: ignore[arg-type]


def test_a_drawing_rises_and_falls_with_its_values() -> None:
    values = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 180)])
    drawn = [BLOCKS.index(block) for block in sparkline(values, 1.0)]
    top = drawn.index(7)
    assert drawn[: top + 1] == sorted(drawn[: top + 1])
    assert drawn[top:] == sorted(drawn[top:], reverse=True)
    # The first of 35 parts ends at the sixth value, 5/19; the last begins at 4/179.
    assert (drawn[0], drawn[-1]) == (round(7 * 5 / 19), 0)
    # Of three values every one has a block of its own; none is below the lowest.
    assert sparkline(np.array([0.0, 1.0, -0.1]), 1.0) == "▁█▁"
    assert sparkline(np.zeros(3), 0.0) == "▁▁▁"


@pytest.mark.parametrize("n_layers", [2, 12, 24, 48])
@pytest.mark.parametrize("scheme", ["none", "zhang", "chang", "sun", "grouped"])
def test_lines_fit_80_columns_and_hold_every_depth_once(scheme: str, n_layers: int) -> None:
    lines = lines_of(with_rates(scheme=scheme), n_layers)
    assert max(map(len, lines)) <= 80
    groups = {"none": 1, "zhang": n_layers + 2, "chang": n_layers + 1}
    groups["grouped"] = min(4, n_layers + 1)
    # Under sun embeddings, top layer and head have one rate; only neighbours share a line.
    groups["sun"] = n_layers + 1
    drawn = [line for line in lines if set(line[INDENT:]) & set(BLOCKS)]
    assert len(drawn) == groups[scheme]
    numbers = [number_in(line[31:43].strip()) for line in drawn]
    # Sums of 100 millions and more are shown in tenths of a million.
    assert sum(numbers) == pytest.approx((n_layers + 2) * 7_087_872, abs=5e4 * len(drawn))


def test_the_peak_of_every_layer_is_said() -> None:
    lines = lines_of(with_rates(scheme="zhang"))
    peaks = {line[9:22].strip(): line[22:31].strip() for line in lines[1:]}
    # Zhang et al. 2021 with 12 blocks: 1.0267e-5 for the embeddings, 1.0807e-5 for block 0.
    assert (peaks["embeddings"], peaks["layer 1"]) == ("1.03e-05", "1.08e-05")
    assert (peaks["layer 12"], peaks["head"]) == ("1.9e-05", "2e-05")


def test_marks_stand_below_the_updates_they_name() -> None:
    recipe = dataclasses.replace(RecipeSpec(), averaging=AveragingSpec(start_epoch=2))
    lines = lines_of(recipe)
    ruler, words = lines[-2:]
    assert words.strip() == "w: warm-up ends at update 18; a: averaging begins at update 126"
    drawn = lines[1][INDENT:]
    assert len(drawn) == 35
    assert drawn[ruler.index("w") - INDENT] == "█"
    assert ruler.index("a") - INDENT == 35 * 126 // 189
    # Ten updates later the rate is the constant one, a tenth of the peak.
    assert set(drawn[ruler.index("a") - INDENT + 3 :]) == {"▂"}


def test_frozen_depths_have_no_schedule() -> None:
    lines = lines_of(RecipeSpec(), frozen=9)
    assert lines[1].split() == ["to", "layer", "8", "0", "frozen"]
    assert lines[2].split()[:3] == ["from", "layer", "9"]


def test_without_depths_and_without_warm_up_there_is_one_line() -> None:
    lines = rate_lines(np.full((5, 1), 1e-3), [123], warmup=0)
    assert [line.split() for line in lines[1:]] == [["all", "0.001", "123", "█████"]]
    assert len(rate_lines(np.empty((0, 1)), [1], 0)) == 2
