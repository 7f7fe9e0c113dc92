"""Content: what is refused once a task and a model have met."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seedlab.errors import SeedlabError
from seedlab.inputs.content import load_encoded
from seedlab.models.checkpoint_folder import EMBEDDED
from seedlab.spec.run import ModelSpec, TaskSpec


def test_a_tokenizer_of_another_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to end in an index error inside the model's embedding."""
    monkeypatch.setenv("SEEDLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))
    task = TaskSpec(examples=20, dev_examples=10)
    with pytest.raises(SeedlabError, match=r"gives token number \d+, but the model knows the 100"):
        load_encoded(task, ModelSpec(name="m", path=str(folder)), 0)
