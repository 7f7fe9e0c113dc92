"""The table of learning rates against the published formulas."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

from seedlab.spec.recipe import TECHNIQUES
from seedlab.store.tables.export import export
from tests.store.tables.test_setting_columns import changed
from tests.suites.store_cases import make_result, make_task

SIZES = (10, 20, 20, 5)
"""Trained numbers of embeddings, two layers and head."""


def rates_of(study, recipe, **provenance):
    task = make_task()  # 32 training examples: 2 updates per epoch of 16, 6 in 3 epochs
    study.write(make_result(task, spec=changed(recipe), **provenance), task)
    return pd.read_csv(export(study) / "rates.csv")


def linear(peak):
    """Rates of 6 steps without warm-up: int(.1 x 6) is 0."""
    return peak * np.arange(6, 0, -1) / 6


def test_one_rate_for_all_depths_has_no_depth(study):
    rates = rates_of(study, {"optimizer.learning_rate": 3e-4}, trained=SIZES)
    assert rates["depth"].isna().all()
    assert list(rates["step"]) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(rates["rate"], linear(3e-4), rtol=1e-12)
    assert set(rates["setting"]) == set(pd.read_csv(study.folder / "tables/runs.csv")["setting"])


def test_rates_by_depth_fall_by_the_factor_and_frozen_depths_have_none(study):
    recipe = {"layer_rates.scheme": "zhang", "layer_rates.decay": 0.5, "freeze.layers": 1}
    rates = rates_of(study, recipe, trained=(0, 0, 20, 5))
    wide = rates.pivot(index="step", columns="depth", values="rate")
    # Zhang et al. 2021: the head at e^0, the top layer at e^1.
    factors = np.array([0.0, 0.0, 0.5, 1.0])
    np.testing.assert_allclose(wide, np.outer(linear(2e-5), factors), rtol=1e-12)


@pytest.mark.parametrize(
    ("recipe", "n"),
    [
        ({}, 6),
        ({"layer_rates.scheme": "sun"}, 0),
        ({"freeze.layers": 0}, 0),
        ({"features.active": True}, 0),
        ({"reinit.layers": 1}, 6),
    ],
)
def test_records_without_depths_tell_the_rates_that_need_none(study, recipe, n):
    """Records of earlier releases."""
    assert len(rates_of(study, recipe)) == n


def test_techniques_say_whether_they_change_rates():
    """The export imports torch for those alone."""
    from seedlab.training.techniques.effect import Effect

    for technique in TECHNIQUES.values():
        module, _, name = technique.effect.partition(":")
        effect = getattr(importlib.import_module(module), name) if name else Effect
        changes = (effect.rates, effect.peak_rates) != (Effect.rates, Effect.peak_rates)
        assert technique.changes_rates == changes, technique
