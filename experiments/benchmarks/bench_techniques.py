"""Time of an update with each technique, packed and serial, and memory per run.

On the embedded model (two layers of 128), one thread, in alternation; the best of the repeats.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from bench_steps import steady
from cases import specs

from seedlab.engines.packed.partition import partition_model
from seedlab.inputs.content import load_encoded
from seedlab.inputs.loaded import load_weights_of, prepare
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import AdapterSpec, FreezeSpec, LayerRatesSpec, MixoutSpec, PriorDecaySpec
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.step_plan import make_plan

CASES: dict[str, dict[str, Any]] = {
    "none": {},
    "layer_rates": {"layer_rates": LayerRatesSpec("zhang")},
    "prior_decay": {"prior_decay": PriorDecaySpec(0.01)},
    "mixout": {"mixout": MixoutSpec(0.1)},
    "lora": {"adapter": AdapterSpec("lora")},
    "bitfit": {"adapter": AdapterSpec("bitfit")},
    "freeze, embeddings": {"freeze": FreezeSpec(0)},
    "freeze, 1 of 2 layers": {"freeze": FreezeSpec(1)},
}


def memory(techniques: dict[str, Any]) -> tuple[float, float]:
    """Return MiB of a run's weights and moments, and MiB that a pack holds once."""
    run = specs(1, 1)[0]
    run = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, **techniques))
    task = load_encoded(run.task, run.model, 0)
    weights = load_weights_of(run, task, prepare(EngineSpec(device="cpu")))
    plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
    parameter_plan = plan_parameters(run, plan, weights.model, weights.new)
    origin = parameter_plan.steps.need_start or run.recipe.mixout.p > 0.0
    shape = partition_model(weights, task, run, parameter_plan).shape(
        run, 0, len(parameter_plan.steps.buffers), origin
    )
    return shape.weights / 2**20, shape.shared / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--steps", type=int, default=44)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.repeats):
        for name, techniques in CASES.items():
            for engine, width in (("serial", 1), ("packed", options.width)):
                _, cpu = steady(engine, width, 1, options.steps, **techniques)
                found.setdefault((engine, name), []).append(cpu * 1e3)
    print(f"an update of one run, processor time, packs of {options.width}, one thread")
    print(f"{'':24}{'serial ms':>10}{'packed ms':>10}{'ratio':>7}{'run MiB':>9}{'once MiB':>9}")
    for name, techniques in CASES.items():
        serial, packed = min(found["serial", name]), min(found["packed", name])
        own, once = memory(techniques)
        print(f"{name:24}{serial:10.2f}{packed:10.2f}{serial / packed:7.1f}{own:9.2f}{once:9.2f}")


if __name__ == "__main__":
    main()
