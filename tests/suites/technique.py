"""`TechniqueSuite`: conformance tests for techniques. Subclass it and name the settings to test.

class TestMixout(TechniqueSuite):
    technique = MixoutSpec
    variants = {"column": MixoutSpec(p=0.3), "element": MixoutSpec(p=0.3, granularity="element")}
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir

from seedlab.allowed import OneOf, Range
from seedlab.application import app as application
from seedlab.config.checks import check_run
from seedlab.config.settings import build, read_settings
from seedlab.engines.choose import unpackable
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.serial.engine import SerialEngine
from seedlab.errors import SeedlabError
from seedlab.models.pretrained import Weights
from seedlab.paths import conf_folder
from seedlab.spec.recipe import TECHNIQUES, RecipeSpec
from seedlab.spec.run import ModelSpec, RunSpec
from seedlab.techniques.technique import Technique
from seedlab.training.effects import effects_of
from seedlab.training.parameter_plan import plan_parameters
from seedlab.training.result import RunResult
from seedlab.training.step_plan import make_plan
from tests.suites.runs import RECIPE, MemoryCheckpointManager, assert_same, callbacks, make_run
from tests.suites.techniques import model_options
from tests.suites.tiny import tiny_task, tiny_weights

assert application.main  # registers the defaults with Hydra
DOCUMENTATION = Path(__file__).parent.parent.parent / "docs" / "how-to" / "recipes.md"


class TechniqueSuite:
    """The contract of a technique: settings, identity, both engines, documentation.

    Attributes
    ----------
    technique : type of Technique
    variants : dict of name to Technique
        Settings that switch it on, for a model of two layers.
    in_identity : bool
        Whether its settings are part of a run's name.
    """

    technique: ClassVar[type[Technique]]
    variants: ClassVar[dict[str, Any]]
    in_identity: ClassVar[bool] = True

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test that takes a variant once per variant, if the technique has an effect.

        The default suite trains the first variant alone. It counts the buffers of all.
        """
        if "variant" in metafunc.fixturenames:
            names: list[Any] = list(self.variants) if self.technique.effect else []
            if metafunc.function.__name__ != "test_vectors_counts_the_buffers":
                names[1:] = [pytest.param(name, marks=pytest.mark.slow) for name in names[1:]]
            metafunc.parametrize("variant", names)

    def recipe(self, settings: Technique) -> RecipeSpec:
        """Return the suite's recipe with these settings of the technique."""
        return dataclasses.replace(RECIPE, **{self.technique.section: settings})

    def test_it_is_listed_and_documented(self) -> None:
        """One row names its switch and every other setting, and its example switches it on."""
        kind, row = self.technique, self.technique.documentation
        assert TECHNIQUES[kind.section] is kind
        assert all(row)
        assert f"{kind.section}.{kind.switch}=" in row.switch
        for item in dataclasses.fields(kind):
            assert re.search(rf"\b{item.name}\b", row.switch + row.values), item.name
        assert example(kind).is_on
        assert row.row() in DOCUMENTATION.read_text().splitlines(), "run make docs"

    def test_its_preset_switches_it_on(self) -> None:
        """And passes the checks of a run."""
        if self.technique.preset:
            spec = preset(self.technique.preset)
            assert getattr(spec.recipe, self.technique.section).is_on
            check_run(spec)

    def test_off_is_off(self, tmp_path: Path) -> None:
        """The default changes no name. Values without the switch change no bit of a training."""
        kind = self.technique
        assert not kind().is_on
        assert RunSpec(recipe=RecipeSpec(**{kind.section: kind()})).run_id == RunSpec().run_id
        [settings, *_] = self.variants.values()
        off = dataclasses.replace(settings, **{kind.switch: getattr(kind(), kind.switch)})
        assert effects_of(self.recipe(off)) == ()
        if kind.effect:
            recipe = self.recipe(off)
            (idle,) = train(SerialEngine(), recipe, loaded(tmp_path, recipe), inits=(0,))
            assert_same(idle, without("float32"))

    def test_on_is_part_of_the_name(self) -> None:
        """Variants are runs of their own, unless the hash of the weights has the setting in it."""
        runs = [RunSpec(recipe=self.recipe(settings)) for settings in self.variants.values()]
        names = {run.run_id for run in (*runs, RunSpec(recipe=RECIPE))}
        assert len(names) == (len(runs) + 1 if self.in_identity else 1)

    def test_values_that_are_not_allowed_are_refused_by_key(self) -> None:
        for settings in self.variants.values():
            check_run(RunSpec(recipe=self.recipe(settings)))
            for key, allowed in self.technique.limits.items():
                for value in wrong(allowed, self.technique.__annotations__[key]):
                    recipe = self.recipe(dataclasses.replace(settings, **{key: value}))
                    message = f"recipe.{self.technique.section}.{key}={value}"
                    with pytest.raises(SeedlabError, match=re.escape(message)):
                        check_run(RunSpec(recipe=recipe))

    def test_contradictions_are_refused_by_both_settings(self) -> None:
        for settings in self.variants.values():
            for key, reason in settings.conflicts().items():
                section, _, value = key.partition("=")
                other = example(TECHNIQUES[section], value)
                recipe = dataclasses.replace(self.recipe(settings), **{section: other})
                if section == self.technique.section:
                    continue
                message = (
                    f"{settings.switched_on_by} and {other.switched_on_by} can't be combined: "
                    f"{reason}. Switch one of them off: {settings.switched_off_by}, or "
                    f"{other.switched_off_by}."
                )
                with pytest.raises(SeedlabError, match=re.escape(message)):
                    check_run(RunSpec(recipe=recipe))

    def test_vectors_counts_the_buffers(self, variant: str, tmp_path: Path) -> None:
        """Estimates of checkpoints on disk count the buffers of step effects without torch."""
        run = make_run(recipe=self.recipe(self.variants[variant]))
        weights = loaded(tmp_path, run.recipe)
        plan = make_plan(run.recipe, run.evaluation, len(tiny_task().splits["train"]))
        steps = plan_parameters(run, plan, weights.model, weights.new).steps
        assert len(steps.buffers) == self.technique.vectors

    def test_engines_agree(self, variant: str, tmp_path: Path) -> None:
        """Two runs in float64 with dropout, alone and stacked; or the reason names the technique.

        The engines sum in different orders: a few ulps of 2e-16 per step over 20 steps. Logits
        are recorded in float32.
        """
        recipe = self.recipe(self.variants[variant])
        weights = loaded(tmp_path, recipe, torch.float64)
        expected = train(SerialEngine(), recipe, weights)
        plain = without("float64")
        assert not np.array_equal(expected[0].logits["dev"], plain.logits["dev"])
        if reason := unpackable(make_run(recipe=recipe)):
            assert f"recipe.{self.technique.section}." in reason
            return
        for engine, inits in ((PackedEngine(), (0,)), (PackedEngine(stack=2), (0, 1))):
            found = train(engine, recipe, weights, inits=inits)
            for result, other in zip(found, expected, strict=False):
                np.testing.assert_allclose(result.losses, other.losses, rtol=1e-8, atol=1e-11)
                np.testing.assert_allclose(
                    result.grad_norms, other.grad_norms, rtol=1e-6, atol=1e-9
                )
                np.testing.assert_array_equal(result.learning_rates, other.learning_rates)
                scored = [[(e.step, e.split) for e in r.evaluations] for r in (result, other)]
                assert scored[0] == scored[1]
                np.testing.assert_allclose(
                    result.logits["dev"], other.logits["dev"], rtol=1e-4, atol=1e-5
                )

    def test_a_run_resumes_with_the_same_bits(self, variant: str, tmp_path: Path) -> None:
        """Stopped at step 12 and resumed by a new engine, in each engine."""
        recipe = self.recipe(self.variants[variant])
        weights = loaded(tmp_path, recipe)
        engines = (SerialEngine(), PackedEngine())
        for engine in engines[:1] if unpackable(make_run(recipe=recipe)) else engines:
            (whole,) = train(engine, recipe, weights, inits=(1,))
            manager = MemoryCheckpointManager(until=12)
            (stopped,) = train(engine, recipe, weights, manager, inits=(1,))
            assert (stopped.status, len(stopped.losses)) == ("stopped", 12)
            manager.until = None
            (late,) = train(engine, recipe, weights, manager, inits=(1,))
            assert_same(late, whole)


def loaded(folder: Path, recipe: RecipeSpec, dtype: torch.dtype = torch.float32) -> Weights:
    """Return the small checkpoint, loaded for a recipe."""
    return tiny_weights(folder, dtype=dtype, **model_options(recipe))


def train(
    engine: Any,
    recipe: RecipeSpec,
    weights: Weights,
    manager: MemoryCheckpointManager | None = None,
    inits: tuple[int, ...] = (0, 1),
) -> list[RunResult]:
    """Train runs of one order seed, and return their results in the order of the init seeds."""
    dtype = next(tensor.dtype for tensor in weights.pretrained.values())
    model = ModelSpec(dtype=str(dtype).removeprefix("torch."))
    runs, task = [make_run(init, 4, recipe=recipe, model=model) for init in inits], tiny_task()
    by_id = {r.spec.run_id: r for r in engine.train(runs, task, weights, callbacks(task, manager))}
    return [by_id[run.run_id] for run in runs]


@cache
def without(dtype: str) -> RunResult:
    """Return the result of one run of the suite's recipe without a technique."""
    with tempfile.TemporaryDirectory() as folder:
        weights = loaded(Path(folder), RECIPE, getattr(torch, dtype))
        return train(SerialEngine(), RECIPE, weights, inits=(0,))[0]


def wrong(allowed: Any, annotation: str) -> list[Any]:
    """Return values just outside the allowed ones."""
    if isinstance(allowed, OneOf):
        return [f"{allowed.choices[-1]}x"]
    assert isinstance(allowed, Range)
    whole = "int" in annotation
    step = 1 if whole else 1e-3
    found = [] if whole else [float("nan"), float("inf")]
    if allowed.low is not None:
        found.append(allowed.low if allowed.above else allowed.low - step)
    if allowed.high is not None:
        found.append(allowed.high if allowed.below else allowed.high + step)
    return found


def example(kind: type[Technique], value: str = "") -> Technique:
    """Return a technique switched on as its documentation says, or by a value of its switch."""
    pattern = rf"{kind.section}\.{kind.switch}=`? ?([\w.-]+)"
    found = re.search(pattern, kind.documentation.switch)
    assert found
    return build(kind, {kind.switch: yaml.safe_load(value or number(found[1]))}, kind.section)


def number(text: str) -> str:
    """Return a number as YAML 1.1 reads it: 1e-3 is text there."""
    return text.replace("e-", ".0e-") if re.fullmatch(r"\d+e-\d+", text) else text


@cache
def preset(name: str) -> RunSpec:
    """Return a run of a preset."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        overrides = ["study=s", "task=similarity", f"recipe={name}"]
        return read_settings(compose("config", overrides=overrides)).spec
