"""Canaries of Hydra's private interfaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus, setup_globals
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from seedlab.compat import hydra_private
from tests.suites.canary import canary


def test_the_basic_sweeper_splits_a_grid_and_checks_every_job() -> None:
    with canary("hydra-core", "hydra_private.BasicSweeper"):
        assert issubclass(hydra_private.BasicSweeper, Sweeper)
        parsed = OverridesParser.create().parse_overrides(["a=1,2", "b=3", "c=range(0,2)"])
        batches = hydra_private.BasicSweeper.split_arguments(parsed, max_batch_size=3)
        assert [[list(job) for job in batch] for batch in batches] == [
            [["a=1", "b=3", "c=0"], ["a=1", "b=3", "c=1"], ["a=2", "b=3", "c=0"]],
            [["a=2", "b=3", "c=1"]],
        ]
        assert callable(hydra_private.BasicSweeper.validate_batch_is_legal)


SEARCH = """
import importlib
from seedlab.compat import hydra_private
old = hydra_private.BasicSweeper
module = importlib.import_module("hydra._internal.core_plugins.basic_sweeper")
module.__spec__.loader.exec_module(module)
assert hydra_private.BasicSweeper is not old
hydra_private.BasicSweeper(max_batch_size=None)
"""


def test_the_basic_sweeper_survives_a_search_for_plugins() -> None:
    """The search executes its module anew, and the sweeper's constructor needs the new class."""
    with canary("hydra-core", "hydra_private.BasicSweeper"):
        done = subprocess.run([sys.executable, "-c", SEARCH], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


def test_chosen_errors_come_without_hydras_line(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {
        kind: hydra_private.make_return(["a=1"], JobStatus.FAILED, kind("x"))
        for kind in (KeyError, ValueError)
    }
    with canary("hydra-core", "hydra_private.without_error_line"):
        for kind in failed:
            with hydra_private.without_error_line(KeyError), pytest.raises(kind):
                failed[kind].return_value  # noqa: B018
            assert ("Error executing job" in capsys.readouterr().err) == (kind is ValueError)
        with pytest.raises(KeyError):
            failed[KeyError].return_value  # noqa: B018
        assert "Error executing job" in capsys.readouterr().err


def test_a_return_holds_a_result_or_an_exception() -> None:
    with canary("hydra-core", "hydra_private.make_return"):
        done = hydra_private.make_return(["a=1"], JobStatus.COMPLETED, 0.5, "task")
        assert done.return_value == 0.5
        assert (done.overrides, done.task_name) == (["a=1"], "task")
        failed = hydra_private.make_return(["a=1"], JobStatus.FAILED, KeyError("x"))
        with pytest.raises(KeyError):
            failed.return_value  # noqa: B018
    with canary("hydra-core", "hydra_private.returned_value"):
        assert hydra_private.returned_value(done) == 0.5
        assert isinstance(hydra_private.returned_value(failed), KeyError)
        done.return_value = 0.75
        assert hydra_private.returned_value(done) == 0.75


def test_hydra_makes_its_loader_under_the_name_that_is_replaced(tmp_path: Path) -> None:
    """It loads every file by one method, and returns every configuration from another."""
    from hydra._internal import hydra as command
    from hydra._internal.utils import create_config_search_path
    from hydra.types import RunMode

    files: list[tuple[str, str, object]] = []
    wholes: list[object] = []

    class Checks:
        def check_file(self, root: str, name: str, config: Any) -> None:
            files.append((root, name, OmegaConf.to_container(config)))

        def check_whole(self, config: Any) -> None:
            wholes.append(config.a.x)

    (tmp_path / "a").mkdir()
    (tmp_path / "config.yaml").write_text("defaults: [a: b]")
    (tmp_path / "a/b.yaml").write_text("x: 1")
    with canary("hydra-core", "hydra_private.checked_composition"):
        before = command.ConfigLoaderImpl
        with hydra_private.checked_composition(Checks()):
            path = create_config_search_path(f"file://{tmp_path}")
            made = command.Hydra.create_main_hydra2("canary", path)
            made.compose_config("config", [], RunMode.RUN)
        GlobalHydra.instance().clear()
        assert command.ConfigLoaderImpl is before
        assert (f"file://{tmp_path}", "a/b", {"a": {"x": 1}}) in files
        assert ("pkg://hydra.conf", "hydra/output/default") in [
            (root, name) for root, name, _ in files
        ]
        assert wholes == [1]


def test_a_source_reads_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("# @package _global_\nx: 1")
    with canary("hydra-core", "hydra_private.file_source"):
        source = hydra_private.file_source("canary", str(tmp_path))
        loaded = source.load_config("b")
        assert (loaded.config, loaded.header["package"]) == ({"x": 1}, "_global_")
        assert source.available()
        assert source.is_config("b")
        assert source.list("", None) == ["b"]


CHILD = """
import sys
import cloudpickle
from seedlab.compat.hydra_private import restore_singletons
restore_singletons(cloudpickle.loads(sys.stdin.buffer.read()))
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
assert "canary.yaml" in ConfigStore.instance().repo["canaries"], ConfigStore.instance().repo
assert OmegaConf.has_resolver("hydra")
"""


def test_global_state_goes_to_another_process() -> None:
    from hydra.core.config_store import ConfigStore

    setup_globals()
    ConfigStore.instance().store(group="canaries", name="canary", node={"x": 1})
    try:
        with canary("hydra-core", "hydra_private.singleton_state"):
            state = cloudpickle.dumps(hydra_private.singleton_state())
    finally:
        del ConfigStore.instance().repo["canaries"]
    with canary("hydra-core", "hydra_private.restore_singletons"):
        done = subprocess.run([sys.executable, "-c", CHILD], input=state, capture_output=True)
        assert done.returncode == 0, done.stderr.decode().strip().splitlines()[-1]
