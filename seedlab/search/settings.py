"""`SearchSettings`: the values of a search, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from analysis.errors import AnalysisError
from analysis.rules.objectives import Objective, parse_objective
from analysis.rules.sequential import FIRST_LOOK, Statistic, planned_looks
from seedlab.errors import SeedlabError, nearest
from seedlab.fields import identity_of

PRUNERS = ("sequential", "wilcoxon", "none")
STATISTICS = ("t", "signed_rank")
DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class SearchSettings:
    """The values of ``hydra.sweeper``; its configuration class explains them."""

    params: Mapping[str, str]
    trials: int
    trials_at_once: int
    objectives: tuple[Objective, ...]
    direction: str | None
    seeds: int
    seeds_per_round: int
    pruner: str
    alpha: float
    statistic: Statistic
    storage: str
    study_name: str | None
    sampler_seed: int
    startup_trials: int

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of replicates after which settings may be dropped.

        Empty without a pruner, with two objectives, and with an objective that is not the mean of
        a number per run: no test applies to them.
        """
        if self.pruner == "none" or len(self.objectives) > 1 or not self.objectives[0].is_mean:
            return ()
        # Wilcoxon's test can't decide from one seed. Optuna's pruner checks the rest itself.
        first = 2 if self.pruner == "wilcoxon" else FIRST_LOOK
        return planned_looks(self.seeds, self.seeds_per_round, first)

    @property
    def why_no_looks(self) -> str:
        """Reason why no setting can be dropped early, although a pruner was asked for."""
        if len(self.objectives) > 1 or not self.objectives[0].is_mean:
            return "only the mean and the failure rate can be decided on paired seeds"
        return f"{self.seeds} are too few to decide earlier (the first look is at {FIRST_LOOK})"

    @property
    def stops(self) -> tuple[int, ...]:
        """Numbers of replicates at which rounds end: the looks, and the end."""
        return (*self.looks, self.seeds)

    def identity(self) -> dict[str, Any]:
        """Return the values that must not change when a search continues: all but length and place.

        Fields marked with `later` are left out at their default, so that older searches continue.
        """
        kept = {
            name: value
            for name, value in identity_of(self).items()
            if name not in ("params", "trials", "storage", "study_name", "objectives", "direction")
        }
        return kept | {"objectives": [str(objective) for objective in self.objectives]}


def read_search_settings(values: Mapping[str, Any]) -> SearchSettings:
    """Return the settings of a composed ``hydra.sweeper`` section.

    Raises
    ------
    SeedlabError
        For a value out of range.
    """
    given = {name: value for name, value in values.items() if name != "_target_"}
    objectives = _objectives(given.pop("objective"))
    for name, least in (
        *(("trials", 1), ("trials_at_once", 1), ("seeds", 1), ("seeds_per_round", 1)),
        *(("sampler_seed", 0), ("startup_trials", 0)),
    ):
        if given[name] < least:
            raise SeedlabError(
                f"hydra.sweeper.{name} is {given[name]}; it must be a whole number from {least} on."
            )
    if not 0.0 < given["alpha"] < 1.0:
        raise SeedlabError(
            f"hydra.sweeper.alpha is {given['alpha']}; it must lie between 0 and 1, for instance 0.1."
        )
    _check_choice("pruner", given["pruner"], PRUNERS)
    if given["statistic"] is None:
        # Differences of failure marks are -1, 0 or 1: no t-test.
        given["statistic"] = "signed_rank" if objectives[0].kind == "failure_rate" else "t"
    _check_choice("statistic", given["statistic"], STATISTICS)
    if given["direction"] is not None:
        _check_choice("direction", given["direction"], DIRECTIONS)
    if given["storage"] not in ("sqlite", "journal") and "://" not in given["storage"]:
        raise SeedlabError(
            f"hydra.sweeper.storage is '{given['storage']}'; allowed: sqlite, journal (files in the "
            "study's folder), or the URL of a database such as "
            "postgresql://user@host/name."
        )
    for objective in objectives:
        if objective.least > given["seeds"]:
            raise SeedlabError(
                f"hydra.sweeper.objective={objective} needs {objective.least} seeds per setting and "
                f"hydra.sweeper.seeds is {given['seeds']}; raise seeds or ask for the best of fewer."
            )
    statistic = cast("Statistic", given.pop("statistic"))
    return SearchSettings(objectives=objectives, statistic=statistic, **given)


def _objectives(given: Any) -> tuple[Objective, ...]:
    texts = [given] if isinstance(given, str) else list(given or [])
    if not 1 <= len(texts) <= 2 or len(set(texts)) < len(texts):
        raise SeedlabError(
            f"hydra.sweeper.objective is {given}; allowed: one objective, or a list of two "
            "different ones."
        )
    try:
        return tuple(parse_objective(str(text)) for text in texts)
    except AnalysisError as error:
        raise SeedlabError(f"hydra.sweeper.objective: {error}") from error


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SeedlabError(
            f"hydra.sweeper.{name} is '{value}'; allowed: {', '.join(allowed)}."
            f"{nearest(value, allowed)}"
        )
