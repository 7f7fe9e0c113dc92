"""The command line's settings name the runs that they named in 0.1."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hydra import compose, initialize_config_dir

from seedlab.application import app as application
from seedlab.config.overrides import rewrite
from seedlab.config.settings import read_settings
from seedlab.paths import conf_folder
from tests.suites.pinned_ids import pinned

assert application.main  # registers the defaults with Hydra

COMPOSED = [line for line in pinned() if line.overrides is not None]
PRESETS = [line for line in COMPOSED if line.note.startswith("preset ")]
# Composing takes a tenth of a second.
REST = [pytest.param(line, marks=pytest.mark.slow) for line in COMPOSED if line not in PRESETS]


@pytest.mark.parametrize("line", [*PRESETS, *REST], ids=str)
def test_a_command_names_the_run_that_it_named_in_0_1(line, tmp_path):
    # -m lets a sweeping grid be rewritten; no sweep is composed here.
    words = rewrite(
        ["-m", *line.overrides, *([] if "experiment=demo" in line.overrides else ["study=s"])]
    )
    with contextlib.chdir(tmp_path), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        spec = read_settings(compose("config", [word for word in words if word != "-m"])).spec
    assert dataclasses.replace(spec, data_hash="data", weights_hash="weights").run_id == line.run_id
