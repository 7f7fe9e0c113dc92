"""The configuration of `seedlab run` without overrides."""

from __future__ import annotations

from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seedlab.application import app
from seedlab.paths import conf_folder

# Importing the application registers the dataclasses' defaults with Hydra.
assert app.main


def default_values() -> dict[str, Any]:
    """Return every key with its default, as nested plain values."""
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        composed = compose("config", overrides=["study=STUDY"])
    return cast("dict[str, Any]", OmegaConf.to_container(composed))
