"""``hydra/sweeper=seedlab``: Hydra's basic sweeper for grids of hundreds of seeds."""

# No postponed annotations: Hydra runs this file before it is in sys.modules, where
# dataclasses would look them up.

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from seedlab.compat.hydra_private import BasicSweeper


@dataclass
class SeedlabSweeperConf:
    """Configuration of the sweeper: ``hydra.sweeper.*``, as the basic sweeper has it."""

    _target_: str = "hydra_plugins.hydra_seedlab.sweeper.SeedlabSweeper"

    # Jobs that the launcher gets at a time; null: all of them.
    max_batch_size: int | None = None

    # Sweeps given in the configuration instead of on the command line.
    params: dict[str, str] | None = None


ConfigStore.instance().store(
    group="hydra/sweeper", name="seedlab", node=SeedlabSweeperConf, provider="seedlab"
)


class SeedlabSweeper(BasicSweeper):
    """The cartesian product of the swept values.

    The basic sweeper composes every job only to see that it can be composed (36 to 65 ms
    each); jobs that differ in their seeds alone are composed once here.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose one job of every group, so that a bad configuration fails before any run."""
        from seedlab.launch.jobs.job_configs import group_key

        groups = {group_key(overrides): overrides for overrides in batch}
        super().validate_batch_is_legal(list(groups.values()))
