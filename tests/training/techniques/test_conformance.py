"""Every technique through its conformance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedlab.spec.recipe import TECHNIQUES
from seedlab.techniques.adapter import AdapterSpec
from seedlab.techniques.averaging import AveragingSpec
from seedlab.techniques.features import FeaturesSpec
from seedlab.techniques.freeze import FreezeSpec
from seedlab.techniques.head import HeadSpec
from seedlab.techniques.intermediate import IntermediateSpec
from seedlab.techniques.layer_rates import LayerRatesSpec
from seedlab.techniques.mixout import MixoutSpec
from seedlab.techniques.prior_decay import PriorDecaySpec
from seedlab.techniques.reinit import ReinitSpec
from seedlab.techniques.truncation import TruncationSpec
from tests.suites.technique import TechniqueSuite


@pytest.mark.parametrize("section", TECHNIQUES)
def test_every_technique_is_tested(section: str) -> None:
    """A file beside this one has a suite for it."""
    line = f"    technique = {TECHNIQUES[section].__name__}\n"
    assert any(line in path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


class TestLayerRates(TechniqueSuite):
    technique = LayerRatesSpec
    variants = {
        "zhang": LayerRatesSpec("zhang", decay=0.8),
        "chang": LayerRatesSpec("chang", decay=0.8, head_learning_rate=5e-3),
        "grouped": LayerRatesSpec("grouped"),
    }


class TestReinit(TechniqueSuite):
    technique = ReinitSpec
    variants = {"a layer": ReinitSpec(1)}


class TestMixout(TechniqueSuite):
    technique = MixoutSpec
    variants = {
        "column": MixoutSpec(p=0.3),
        "element": MixoutSpec(p=0.3, granularity="element", keep_dropout=True),
    }


class TestPriorDecay(TechniqueSuite):
    technique = PriorDecaySpec
    variants = {"encoder": PriorDecaySpec(5.0), "head as well": PriorDecaySpec(5.0, True)}


class TestFreeze(TechniqueSuite):
    technique = FreezeSpec
    variants = {"a layer": FreezeSpec(1), "embeddings": FreezeSpec(0, dropout=False)}


class TestHead(TechniqueSuite):
    technique = HeadSpec
    variants = {"concat": HeadSpec("concat", layers=2), "attention": HeadSpec("attention")}


class TestFeatures(TechniqueSuite):
    technique = FeaturesSpec
    variants = {"own head": FeaturesSpec(True)}


class TestAveraging(TechniqueSuite):
    technique = AveragingSpec
    variants = {"early": AveragingSpec(1.4, learning_rate=1e-3, anneal_steps=4)}


class TestAdapter(TechniqueSuite):
    technique = AdapterSpec
    variants = {"bitfit": AdapterSpec("bitfit"), "lora": AdapterSpec("lora", rank=3, alpha=6.0)}


class TestIntermediate(TechniqueSuite):
    technique = IntermediateSpec
    variants = {"a study": IntermediateSpec("mnli")}
    in_identity = False


class TestTruncation(TechniqueSuite):
    technique = TruncationSpec
    variants = {"tail": TruncationSpec("tail"), "both": TruncationSpec("head_tail", 64)}
