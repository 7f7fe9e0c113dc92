"""`ArchitectureSuite`: what the packed engine promises for an architecture that it knows.

class TestMyArchitecture(ArchitectureSuite):
    def encoder(self):
        return MyModel(MyConfig(...))   # small and random
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from seedlab.engines.choose import choose
from seedlab.engines.packed.encoder.architecture import describe
from seedlab.engines.packed.engine import PackedEngine
from seedlab.engines.serial.engine import SerialEngine
from seedlab.models.pretrained import Weights, load_weights
from seedlab.spec.run import ModelSpec
from tests.suites.runs import callbacks, make_run
from tests.suites.stacked_case import Case
from tests.suites.tiny import MAX_LENGTH, tiny_task

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "pad_token_id": 1,
}
"""Sizes of a small encoder, under the names that most configurations have for them."""


def stated_parameters(model: PreTrainedModel) -> set[str]:
    """Return the names of all parameters that the packed engine knows of a model."""
    found = describe(model)
    maps = [found.norm, found.dense, found.out, *([found.project] if found.project else [])]
    for layer in found.layers:
        maps += [layer.query, layer.key, layer.value, layer.output, layer.norm, layer.up]
        maps += [layer.down, layer.final_norm]
    return {f"{name}.{kind}" for name in maps for kind in ("weight", "bias")} | set(found.tables)


class ArchitectureSuite:
    """The contract of an entry of `ARCHITECTURES`."""

    def encoder(self) -> PreTrainedModel:
        """Return a small random encoder with the sizes of `SIZES` and dropout 0.1."""
        raise NotImplementedError

    def weights(self, folder: Path, dtype: torch.dtype = torch.float64) -> Weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.encoder().save_pretrained(folder)
        return load_weights(folder, n_labels=2, pad_id=1, max_length=MAX_LENGTH, dtype=dtype)

    def test_every_parameter_has_a_stated_name(self, tmp_path: Path) -> None:
        model = self.weights(tmp_path).model
        assert stated_parameters(model) == {name for name, _ in model.named_parameters()}

    def test_every_dropout_has_a_stated_site(self, tmp_path: Path) -> None:
        """A site without a name would be switched off in silence."""
        found = describe(self.weights(tmp_path).model)
        stated = {found.embedding_site, found.dense_site, found.out_site}
        for layer in found.layers:
            stated |= {layer.attention_site, layer.output_site, layer.down_site}
        assert set(found.dropout) == stated - {None}
        assert set(found.dropout.values()) == {0.1}

    @pytest.mark.parametrize("seeds", [[3], [3, 4, 5]], ids=["one run", "three runs"])
    def test_logits_and_gradients_are_those_of_transformers(
        self, seeds: list[int], tmp_path: Path
    ) -> None:
        """Without dropout, float64: only the order of sums differs. Padding is in the texts."""
        case = Case(self.weights(tmp_path), seeds)
        case.weights.model.eval()
        case.check({}, 1e-10)

    def test_training_with_dropout_equals_the_serial_engine(self, tmp_path: Path) -> None:
        """Twenty updates of two runs in float64; tolerance as in `EngineSuite`."""
        runs = [make_run(init, 4, model=ModelSpec(dtype="float64")) for init in (0, 1)]
        task = tiny_task()
        weights = self.weights(tmp_path)
        packed, serial = (
            list(engine.train(runs, task, weights, callbacks(task)))
            for engine in (PackedEngine(), SerialEngine())
        )
        for result, other in zip(packed, serial, strict=True):
            np.testing.assert_allclose(result.losses, other.losses, rtol=1e-8, atol=1e-11)
            np.testing.assert_allclose(
                result.logits["dev"], other.logits["dev"], rtol=1e-4, atol=1e-5
            )

    def test_it_is_packed_by_default(self, tmp_path: Path) -> None:
        assert choose("auto", make_run(), self.weights(tmp_path).model) == ("packed", "")
