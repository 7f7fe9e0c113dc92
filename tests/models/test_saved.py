"""Files of a saved model."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import torch
from safetensors.torch import save_file

from seedlab.models.saved import share_weights


def test_weights_have_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    """safetensors gives them to their owner alone."""
    umask = os.umask(0o027)
    try:
        folder = tmp_path / "model"
        folder.mkdir()
        save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
        share_weights(folder)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((folder / "model.safetensors").stat().st_mode) == 0o640
