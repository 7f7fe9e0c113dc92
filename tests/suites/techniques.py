"""Techniques for the suites' recipes, and their options of the model."""

from __future__ import annotations

from typing import Any

from seedlab.engines.choose import unpackable
from seedlab.spec.recipe import (
    AdapterSpec,
    AveragingSpec,
    FeaturesSpec,
    FreezeSpec,
    HeadSpec,
    LayerRatesSpec,
    MixoutSpec,
    PriorDecaySpec,
    RecipeSpec,
    ReinitSpec,
    ScheduleSpec,
)
from seedlab.spec.run import RunSpec
from seedlab.training.effects import model_options_of

TECHNIQUES: dict[str, dict[str, Any]] = {
    "zhang": {"layer_rates": LayerRatesSpec("zhang", decay=0.8)},
    "chang": {"layer_rates": LayerRatesSpec("chang", decay=0.8, head_learning_rate=5e-3)},
    "grouped": {"layer_rates": LayerRatesSpec("grouped")},
    "reinit": {"reinit": ReinitSpec(layers=1)},
    "mixout": {"mixout": MixoutSpec(p=0.3)},
    "mixout by element": {"mixout": MixoutSpec(p=0.3, granularity="element", keep_dropout=True)},
    "prior decay": {"prior_decay": PriorDecaySpec(strength=5.0)},
    "prior decay of all": {"prior_decay": PriorDecaySpec(strength=5.0, anchor_head=True)},
    "freeze": {"freeze": FreezeSpec(layers=1)},
    "freeze embeddings": {"freeze": FreezeSpec(layers=0, dropout=False)},
    "averaging": {"averaging": AveragingSpec(start_epoch=1.4, learning_rate=1e-3, anneal_steps=4)},
    "bitfit": {"adapter": AdapterSpec("bitfit")},
    "lora": {"adapter": AdapterSpec("lora", rank=3, alpha=6.0)},
    "features": {"features": FeaturesSpec(active=True)},
    "features of several layers": {
        "features": FeaturesSpec(active=True),
        "head": HeadSpec("concat", layers=2),
    },
    "features of the own head": {"features": FeaturesSpec(active=True)},
    "lora above": {"adapter": AdapterSpec("lora", rank=2), "freeze": FreezeSpec(layers=1)},
    "cosine": {"schedule": ScheduleSpec("cosine")},
    "Chang's full set": {
        "layer_rates": LayerRatesSpec("grouped"),
        "reinit": ReinitSpec(layers=1),
        "averaging": AveragingSpec(start_epoch=2, learning_rate=1e-3, per_group=False),
        "schedule": ScheduleSpec(warmup_steps=5),
    },
    "mixout with prior decay": {
        "mixout": MixoutSpec(p=0.2),
        "prior_decay": PriorDecaySpec(strength=5.0),
    },
    "freeze with features": {
        "freeze": FreezeSpec(layers=1, dropout=False),
        "features": FeaturesSpec(active=True),
    },
    "freeze with layer rates": {
        "freeze": FreezeSpec(layers=1),
        "layer_rates": LayerRatesSpec("zhang", decay=0.5),
    },
}
"""Changes of the suite's recipe, by the name of the technique or composition."""
COMPOSITIONS = (
    "features of several layers",
    "lora above",
    "cosine",
    "Chang's full set",
    "mixout with prior decay",
    "freeze with features",
    "freeze with layer rates",
)
"""Names that `tests.suites.technique.TechniqueSuite` does not cover: it takes one technique at a time."""


def model_options(recipe: RecipeSpec) -> dict[str, Any]:
    """Return a recipe's options for loading a model, as arguments of `tiny_weights`."""
    return {
        name: value
        for name, value in model_options_of(recipe)._asdict().items()
        if value is not None
    }


def unknown_to_the_engine(engine: Any, run: RunSpec) -> str:
    """Return the reason why an engine can't compute a run; empty if it can."""
    return "" if engine.name == "serial" else unpackable(run)
