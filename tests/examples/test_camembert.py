"""The example of an architecture: serial without an entry, packed with one."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CamembertConfig, CamembertModel, PreTrainedModel

from seedlab.engines.choose import choose
from seedlab.engines.packed.encoder import architecture_names
from seedlab.engines.serial.engine import SerialEngine
from seedlab.spec.run import ModelSpec
from tests.examples.camembert import CAMEMBERT
from tests.suites.architecture import SIZES, ArchitectureSuite
from tests.suites.runs import callbacks, make_run
from tests.suites.tiny import tiny_task


class TestCamembert(ArchitectureSuite):
    @pytest.fixture(autouse=True)
    def _listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = "CamembertForSequenceClassification"
        monkeypatch.setitem(architecture_names.ARCHITECTURES, name, CAMEMBERT)

    def encoder(self) -> PreTrainedModel:
        return CamembertModel(CamembertConfig(**SIZES, type_vocab_size=1))


def test_the_serial_engine_trains_it_without_an_entry(tmp_path: Path) -> None:
    weights, task = TestCamembert().weights(tmp_path), tiny_task()
    run = make_run(model=ModelSpec(dtype="float64"))
    name, reason = choose("auto", run, weights.model)
    assert name == "serial"
    assert reason.startswith("engine=packed can't stack a CamembertForSequenceClassification")
    (result,) = SerialEngine().train([run], task, weights, callbacks(task))
    assert result.status == "finished"
    assert result.losses[-5:].mean() < result.losses[:5].mean()
