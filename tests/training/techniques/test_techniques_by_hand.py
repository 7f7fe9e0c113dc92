"""The serial engine, which is the specification, against techniques written out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedlab.engines.serial.engine import SerialEngine
from seedlab.spec.recipe import (
    AdapterSpec,
    AveragingSpec,
    FreezeSpec,
    LayerRatesSpec,
    MixoutSpec,
    OptimizerSpec,
    PriorDecaySpec,
    ReinitSpec,
)
from seedlab.spec.run import ModelSpec
from tests.suites.reference_techniques import reference_run_with_techniques
from tests.suites.runs import RECIPE, callbacks, make_run
from tests.suites.techniques import model_options
from tests.suites.tiny import tiny_task, tiny_weights

TECHNIQUES: dict[str, dict[str, Any]] = {
    "zhang": {"layer_rates": LayerRatesSpec("zhang", decay=0.6)},
    "chang": {"layer_rates": LayerRatesSpec("chang", decay=0.6, head_learning_rate=5e-3)},
    "sun": {"layer_rates": LayerRatesSpec("sun", decay=0.6)},
    "reinit": {"reinit": ReinitSpec(layers=1)},
    "freeze": {"freeze": FreezeSpec(layers=1)},
    "prior decay": {"prior_decay": PriorDecaySpec(strength=20.0)},
    "prior decay of all": {"prior_decay": PriorDecaySpec(strength=20.0, anchor_head=True)},
    "averaging": {"averaging": AveragingSpec(start_epoch=1.4, learning_rate=1e-3, anneal_steps=4)},
    "averaging with rates": {
        "averaging": AveragingSpec(start_epoch=2, learning_rate=1e-3, per_group=True),
        "layer_rates": LayerRatesSpec("zhang", decay=0.6),
    },
    "averaging with one rate": {
        "averaging": AveragingSpec(start_epoch=2, learning_rate=1e-3, per_group=False),
        "layer_rates": LayerRatesSpec("zhang", decay=0.6),
    },
    "mixout": {"mixout": MixoutSpec(p=0.4)},
    "mixout by element": {"mixout": MixoutSpec(p=0.4, granularity="element")},
    "lora": {"adapter": AdapterSpec("lora", rank=3, alpha=6.0)},
    "debiased": {"optimizer": OptimizerSpec(learning_rate=3e-3)},
}


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The final logits without any technique."""
    run, task = make_run(init=3, order=4, model=ModelSpec(dtype="float64")), tiny_task()
    folder = tmp_path_factory.mktemp("plain")
    weights = tiny_weights(folder, dropout=0.0, dtype=torch.float64)
    (result,) = SerialEngine().train([run], task, weights, callbacks(task))
    return result.logits["dev"]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_training_equals_the_technique_by_hand(
    technique: str, tmp_path: Path, without: np.ndarray
) -> None:
    """A whole training in float64 without dropout: losses to 1e-8, final logits to 1e-5.

    The two sum in different orders; 20 steps of Adam amplify a few ulps of 2e-16. The logits
    on record are float32.
    """
    recipe = dataclasses.replace(RECIPE, **TECHNIQUES[technique])
    run, task = (
        make_run(init=3, order=4, recipe=recipe, model=ModelSpec(dtype="float64")),
        tiny_task(),
    )
    load = {**model_options(recipe), "dropout": 0.0, "dtype": torch.float64}
    weights = tiny_weights(tmp_path, **load)
    (result,) = SerialEngine().train([run], task, weights, callbacks(task))
    losses, logits = reference_run_with_techniques(tmp_path / "bert", run, task)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(result.logits["dev"], logits, rtol=1e-5, atol=1e-6)
    # The technique does something, or the comparison above would say nothing.
    assert np.abs(without - result.logits["dev"]).max() > 1e-3
