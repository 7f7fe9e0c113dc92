"""The recipes in conf/recipe hold the numbers that their sources give."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from seedlab.application import app as application
from seedlab.config.checks import check_run
from seedlab.config.settings import read_settings
from seedlab.paths import conf_folder
from seedlab.spec.recipe import TECHNIQUES, RecipeSpec
from seedlab.spec.run import EvaluationSpec, RunSpec
from seedlab.training.step_plan import StepPlan, make_plan
from seedlab.training.techniques.layer_rates import peak_rates

assert application.main  # registers the defaults with Hydra

RTE, MRPC, COLA = 2490, 3668, 8551
"""Training examples (Wang et al. 2019)."""


@cache
def preset(name: str, *overrides: str) -> RunSpec:
    """Return what a preset composes to, on a task that suits all of them."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return read_settings(
            compose(
                "config", overrides=["study=s", "task=similarity", f"recipe={name}", *overrides]
            )
        ).spec


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return found


def set_by(name: str) -> dict[str, Any]:
    """Return what a preset changes of recipe and evaluation, but for the name."""
    spec = preset(name)
    found = {}
    for part, plain in ((spec.recipe, RecipeSpec()), (spec.evaluation, EvaluationSpec())):
        given, defaults = flat(dataclasses.asdict(part)), flat(dataclasses.asdict(plain))
        found |= {key: value for key, value in given.items() if value != defaults[key]}
    assert found.pop("name", "devlin") == name
    return found


# The defaults of RecipeSpec: batch 16, 3 epochs, 2e-5, betas .9 and .999, eps 1e-6, weight decay
# .01, bias correction, linear decay after 10 % of warm-up, one norm of 1 over all gradients.
DEVLIN = {"optimizer.bias_correction": False}
ZHANG = {"batch_size": 32, "optimizer.eps": 1e-8, "optimizer.weight_decay": 0.0}
CHANG = {
    "optimizer.learning_rate": 1e-6,
    "optimizer.weight_decay": 0.0,
    "schedule.warmup_ratio": 0.0,
    "clip.mode": "none",
    "epochs": 20,
    "loss": "rmse",
    "at_start": False,
    "patience": 3,
}
SWA = {"averaging.start_epoch": 3.0, "averaging.per_group": False}

PUBLISHED: dict[str, dict[str, Any]] = {
    # Devlin et al. 2019, appendix A.3; Mosbach et al. 2021, code of their baseline.
    "devlin": DEVLIN,
    "devlin2019": DEVLIN,
    "devlin_long": {**DEVLIN, "epochs": 20},
    # Devlin et al. 2019, section 5.3 and table 7 (the rate is ours).
    "devlin2019_features": {
        **DEVLIN,
        "features.active": True,
        "head.kind": "concat",
        "optimizer.learning_rate": 1e-3,
    },
    # Dodge et al. 2020, released code (bert_on_stilts).
    "dodge2020": {**DEVLIN, "clip.mode": "tensor"},
    "dodge2020_as_released": {
        **DEVLIN,
        "clip.mode": "tensor",
        "schedule.name": "dodge2020_as_released",
        "dropout_active": "epoch_start",
    },
    # Mosbach et al. 2021, released code.
    "mosbach2021": {"epochs": 20},
    # Merchant et al. 2020: the lowest 8 of 12 layers.
    "merchant2020_freeze8": {**DEVLIN, "freeze.layers": 8},
    # Sun et al. 2019, released code and the paper's best settings.
    "sun2019": {
        **DEVLIN,
        "batch_size": 24,
        "epochs": 4,
        "clip.mode": "tensor",
        "layer_rates.scheme": "sun",
        "truncation.keep": "head_tail",
    },
    # Zhang et al. 2021, sample commands of the released code.
    "zhang2021_debiased": ZHANG,
    "zhang2021_reinit": {**ZHANG, "reinit.layers": 5},
    "zhang2021_longer": {**ZHANG, "max_steps": 400},
    "zhang2021_llrd": {**ZHANG, "layer_rates.scheme": "zhang"},
    "zhang2021_mixout": {**ZHANG, "mixout.p": 0.1},
    "zhang2021_prior_wd": {**ZHANG, "prior_decay.strength": 1e-3},
    "zhang2021_intermediate": {**ZHANG, "intermediate.study": "mnli"},
    # Chang 2021, article and notebook.
    "chang2021_basic": CHANG,
    "chang2021_llrd": {
        **{key: value for key, value in CHANG.items() if key != "optimizer.weight_decay"},
        "optimizer.learning_rate": 3.5e-6,
        "layer_rates.scheme": "chang",
        "layer_rates.decay": 0.9,
        "layer_rates.head_learning_rate": 3.6e-6,
    },
    "chang2021_grouped_llrd": {
        **{key: value for key, value in CHANG.items() if key != "optimizer.weight_decay"},
        "layer_rates.scheme": "grouped",
    },
    "chang2021_swa": {**CHANG, **SWA},
    "chang2021_all": {
        **{key: value for key, value in CHANG.items() if key != "optimizer.weight_decay"},
        **SWA,
        "layer_rates.scheme": "grouped",
        "schedule.warmup_steps": 50,
        "reinit.layers": 5,
        "epochs": 15,
        "start_epoch": 2.0,
        "every": 10,
        "patience": 50,
    },
}
"""What every preset changes of the defaults, and where that is written."""


def test_the_table_names_every_preset() -> None:
    """Besides those that belong to one technique: its own suite tests them."""
    there = {path.stem for path in (conf_folder() / "recipe").glob("*.yaml")}
    assert set(PUBLISHED) <= there
    assert there - set(PUBLISHED) <= {technique.preset for technique in TECHNIQUES.values()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_sets_what_is_published_and_nothing_else(name: str) -> None:
    assert set_by(name) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_passes_its_checks_on_a_task_that_suits_it(name: str) -> None:
    spec = preset(name)
    check_run(dataclasses.replace(spec, task=dataclasses.replace(spec.task, folds=5, fold=4)))


def test_the_defaults_are_what_the_table_says() -> None:
    recipe = RecipeSpec()
    assert (recipe.batch_size, recipe.epochs, recipe.max_steps) == (16, 3, None)
    values = recipe.optimizer
    assert (values.learning_rate, values.beta1, values.beta2) == (2e-5, 0.9, 0.999)
    assert (values.eps, values.weight_decay, values.bias_correction) == (1e-6, 0.01, True)
    assert (recipe.schedule.name, recipe.schedule.warmup_ratio) == ("linear", 0.1)
    assert (recipe.clip.mode, recipe.clip.norm) == ("global", 1.0)
    assert (recipe.layer_rates.decay, recipe.layer_rates.multipliers) == (0.95, (1, 1.75, 3.5, 3.6))
    assert (recipe.mixout.granularity, recipe.mixout.keep_dropout) == ("column", False)
    assert (recipe.averaging.learning_rate, recipe.averaging.anneal_steps) == (2e-6, 10)
    assert (recipe.truncation.head, recipe.head.layers, recipe.prior_decay.anchor_head) == (
        128, 4, False,
    )  # fmt: skip


def plan_of(name: str, n: int) -> StepPlan:
    spec = preset(name)
    return make_plan(spec.recipe, spec.evaluation, n)


@pytest.mark.parametrize(
    ("name", "examples", "steps", "warmup"),
    [
        # Zhang et al. 2021: batch 32, three epochs; 1,000 examples are 96 steps.
        ("zhang2021_debiased", RTE, 234, 23),
        ("zhang2021_debiased", 1000, 96, 9),
        ("zhang2021_longer", 1000, 400, 40),
        # Mosbach et al. 2021: batch 16; 468, 690 and about 1602 steps of the data in three epochs.
        ("devlin", RTE, 468, 46),
        ("devlin", MRPC, 690, 69),
        ("devlin", COLA, 1605, 160),
        ("mosbach2021", RTE, 3120, 312),
        # Chang 2021: four fifths of 2,833 texts, batch 16, at most 15 epochs.
        ("chang2021_all", 2266, 142 * 15, 50),
    ],
)
def test_steps_and_warmup(name: str, examples: int, steps: int, warmup: int) -> None:
    plan = plan_of(name, examples)
    assert (plan.total_steps, plan.warmup_steps) == (steps, warmup)
    assert plan.multipliers[0] == 0.0
    assert math.isclose(max(plan.multipliers), 1.0)


@pytest.mark.parametrize(("examples", "steps"), [(RTE, 156), (MRPC, 230), (COLA, 535)])
def test_steps_per_epoch_at_batch_16(examples: int, steps: int) -> None:
    """A comment in Mosbach's configuration says 534 for CoLA; the last batch has 7 examples."""
    assert plan_of("mosbach2021", examples).steps_per_epoch == steps


def rates(name: str, layers: int) -> list[float]:
    recipe = preset(name).recipe
    values = recipe.layer_rates
    return peak_rates(
        values.scheme,
        layers,
        recipe.optimizer.learning_rate,
        decay=values.decay,
        head_learning_rate=values.head_learning_rate,
        multipliers=values.multipliers,
    )


def test_layer_rates_of_the_presets() -> None:
    """Embeddings, layers from the bottom up, head and pooler."""
    zhang = rates("zhang2021_llrd", 24)
    assert [f"{zhang[at]:.4g}" for at in (0, 1, 24, 25)] == [
        "5.548e-06", "5.84e-06", "1.9e-05", "2e-05",
    ]  # fmt: skip
    chang = rates("chang2021_llrd", 12)
    assert [f"{chang[at]:.4g}" for at in (0, 1, 12, 13)] == [
        "9.885e-07", "1.098e-06", "3.5e-06", "3.6e-06",
    ]  # fmt: skip
    grouped = [1e-6] * 5 + [1.75e-6] * 4 + [3.5e-6] * 4 + [3.6e-6]
    assert rates("chang2021_all", 12) == pytest.approx(grouped, rel=1e-12)
    sun = rates("sun2019", 12)
    assert [f"{sun[at]:.5g}" for at in (0, 1, 12, 13)] == [
        "2e-05", "1.1376e-05", "2e-05", "2e-05",
    ]  # fmt: skip


def test_chang_evaluates_often_from_the_third_epoch_on() -> None:
    plan = plan_of("chang2021_all", 2266)
    per_epoch = 142
    assert plan.evaluation_steps[0] == 290  # the first multiple of 10 after two epochs
    assert plan.evaluation_steps[-1] == 15 * per_epoch
    assert set(np.diff(plan.evaluation_steps[:-1]).tolist()) == {10}
    assert plan_of("chang2021_basic", 2266).evaluation_steps == tuple(
        per_epoch * epoch for epoch in range(1, 21)
    )


def test_what_a_user_says_wins_over_a_preset_that_sets_other_sections() -> None:
    spec = preset("chang2021_all", "evaluation.patience=7", "recipe.epochs=5")
    assert (spec.evaluation.patience, spec.evaluation.every, spec.recipe.epochs) == (7, 10, 5)
    assert preset("devlin").evaluation == EvaluationSpec()
