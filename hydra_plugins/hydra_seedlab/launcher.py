"""``hydra/launcher=seedlab``: trains the runs of a batch in packs, in worker processes."""

# No postponed annotations: Hydra runs this file before it is in sys.modules, where
# dataclasses would look them up.

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SeedlabLauncherConf:
    """The launcher: worker processes, retries, progress.

    An executor with keys of its own extends this class and registers it as another launcher.
    """

    _target_: str = "hydra_plugins.hydra_seedlab.launcher.SeedlabLauncher"

    executor: str = "local"
    """The executor: local (worker processes of this machine), or MODULE:CLASS of one outside
    seedlab (docs/extending.md)."""

    slots: int | None = None
    """Worker processes at a time. null: engine.workers_per_gpu for every GPU; without GPUs the
    CPU cores divided by engine.threads."""

    gpus: list[Any] | None = None
    """GPUs to use, as CUDA_VISIBLE_DEVICES names them: numbers as nvidia-smi has them, or UUIDs
    (GPU-..., and MIG-... for an instance). null: all that are visible; []: none."""

    retries: int = 1
    """Further tries of a run whose worker dies (out of memory, a crash, a kill) while it trains
    that run alone. A pack whose worker dies is halved first."""

    give_up_after: int | None = 3
    """Failures in a row that are alike (refusals, dead workers), with no result in between,
    after which the launch is given up. null: every run is tried."""

    start_timeout: float = 300.0
    """Longest time in seconds until a worker is ready for its first pack."""

    progress: str = "auto"
    """auto (live on a terminal, otherwise lines), live, lines or none."""

    heartbeat: float = 60.0
    """Longest time in seconds between two status lines where there is no terminal."""


ConfigStore.instance().store(
    group="hydra/launcher", name="seedlab", node=SeedlabLauncherConf, provider="seedlab"
)


class SeedlabLauncher(Launcher):
    """Hydra's view of `seedlab.launch.launcher.launch`.

    Parameters
    ----------
    **settings
        The values of `SeedlabLauncherConf`, or of a class that extends it.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Keep Hydra's arguments for the launch."""
        self._hydra_context = hydra_context
        self._task_function = task_function
        self._config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs; see `seedlab.launch.launcher.launch`."""
        # Hydra imports this module at every start, whichever launcher is chosen.
        from seedlab.launch.executors.settings import LauncherSettings
        from seedlab.launch.launcher import launch

        return launch(
            LauncherSettings.of(self._settings),
            self._hydra_context,
            self._task_function,
            self._config,
            job_overrides,
            initial_job_idx,
        )
