"""Hydra's own conformance suites for launchers and sweepers, passed by ours."""

from __future__ import annotations

import pytest
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.version import VersionBase

from hydra_plugins.hydra_seedlab.launcher import SeedlabLauncher
from hydra_plugins.hydra_seedlab.sweeper import SeedlabSweeper

ONE_SLOT = "hydra.launcher.slots=1"


@pytest.fixture(autouse=True)
def no_version_base(hydra_restore_singletons: None) -> None:
    """Forget the `version_base` of applications that were imported: the suites expect none."""
    Singleton._instances.pop(VersionBase, None)


def test_hydra_finds_the_launcher_and_the_sweeper() -> None:
    names = [kind.__name__ for kind in Plugins.instance().discover(Launcher)]
    assert SeedlabLauncher.__name__ in names
    assert SeedlabSweeper.__name__ in [k.__name__ for k in Plugins.instance().discover(Sweeper)]


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("seedlab", [ONE_SLOT, "hydra/sweeper=seedlab"])]
)
class TestLauncher(LauncherTestSuite):
    """Hydra's `LauncherTestSuite`."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("seedlab", [ONE_SLOT, "hydra/sweeper=seedlab", "hydra.sweeper.max_batch_size=2"])],
)
class TestBatchedSweeper(BatchedSweeperTestSuite):
    """Hydra's `BatchedSweeperTestSuite`."""


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [
        (
            {},
            ["-m", "hydra/launcher=seedlab", "hydra/sweeper=seedlab", ONE_SLOT],
        )
    ],
)
@pytest.mark.slow  # eleven applications, each in processes of its own: 20 seconds
class TestIntegration(IntegrationTestSuite):
    """Hydra's `IntegrationTestSuite`: applications started as scripts."""
