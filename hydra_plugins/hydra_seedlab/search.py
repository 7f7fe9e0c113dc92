"""``hydra/sweeper=seedlab_optuna``: hyperparameter search in which seeds are replicates."""

# No postponed annotations: Hydra runs this file before it is in sys.modules, where
# dataclasses would look them up.

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class SeedlabSearchConf:
    """The search that ``hydra/sweeper=seedlab_optuna`` chooses: Optuna proposes, seeds are replicates."""

    _target_: str = "hydra_plugins.hydra_seedlab.search.SeedlabSearch"

    params: dict[str, str] = field(default_factory=dict)
    """Search spaces by configuration key, in Hydra's grammar: interval(0,0.2),
    tag(log,interval(1e-5,1e-3)), int(interval(1,8)), range(1,5), choice(a,b). Sweeps on the
    command line are added to them. Never a seed."""

    trials: int = 20
    """Settings that are tried. A larger number continues a finished search."""

    trials_at_once: int = 5
    """Settings that are trained side by side; the next ones are proposed when all of them are
    decided."""

    objective: Any = "mean"
    """Value of a setting: mean, median, "expected_best(N)", "quantile(Q)", failure_rate; or a
    list of two, for which the Pareto front is sought."""

    direction: str | None = None
    """Direction of the score: maximize or minimize. null: the metric's own for seedlab's tasks,
    maximize for other applications."""

    seeds: int = 10
    """Replicates of a setting at most: replicate r has the seeds init=r and order=r."""

    seeds_per_round: int = 2
    """Replicates between two decisions."""

    pruner: str = "sequential"
    """Rule that drops settings between rounds: sequential (for each setting at most alpha wrong
    over the whole search), wilcoxon (Optuna's WilcoxonPruner with the uncorrected level alpha
    at every round) or none. Only settings under the objectives mean and failure_rate are
    dropped early: these are means of a number per run."""

    alpha: float = 0.1
    """Chance that the search drops a given setting although no other is better."""

    statistic: str | None = None
    """Test of the sequential pruner: t or signed_rank. null: t for mean, signed_rank for
    failure_rate."""

    storage: str = "sqlite"
    """sqlite or journal (a file in the study's folder), or the URL of a database."""

    study_name: str | None = None
    """Name of the study in the storage; null: the name of the study's folder."""

    sampler_seed: int = 0
    """Seed of the proposals. Proposal n depends on it, on n and on the trials before."""

    startup_trials: int = 10
    """Trials that are drawn at random before the sampler (Optuna's TPE) learns from them."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="seedlab_optuna", node=SeedlabSearchConf, provider="seedlab"
)


class SeedlabSearch(Sweeper):
    """Hydra's view of `seedlab.search.search.search`.

    Parameters
    ----------
    **settings
        The values of `SeedlabSearchConf`.
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
        """Keep Hydra's arguments for the sweep, and make the launcher."""
        self._hydra_context = hydra_context
        self._task_function = task_function
        self._config = config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search; see `seedlab.search.search.search`."""
        # Hydra imports this module at every start, whichever sweeper is chosen, and Optuna
        # takes half a second.
        from seedlab.search.search import search
        from seedlab.search.settings import read_search_settings

        plain = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in self._settings.items()
        }
        return search(
            read_search_settings(plain),
            arguments,
            self._launcher,
            self._hydra_context,
            self._task_function,
            self._config,
        )
