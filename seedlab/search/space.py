"""`SearchSpace`: the keys that a search varies, read from overrides in Hydra's own grammar.

The sweeps are ``interval(a,b)``, ``tag(log,interval(a,b))``, ``int(interval(a,b))``,
``range(...)`` and ``choice(...)`` or ``a,b,c``. A seed is never searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from seedlab.errors import SeedlabError

_REPLICATE_SEEDS = ("seed.init", "seed.order")
# Keys that change the place and the way of training, not its result: they may change when a
# search continues.
_ELSEWHERE = ("study", "studies_dir", "dry", "engine")
_NO_IDENTITY = ("task.allow_unknown_tokens",)


@dataclass(frozen=True)
class SearchSpace:
    """The overrides of a search: those that all jobs share, and those that it varies.

    Parameters
    ----------
    fixed : tuple of str
    distributions : mapping of configuration key to optuna distribution
    texts : mapping of configuration key to str
        The distributions as the user wrote them.
    """

    fixed: tuple[str, ...]
    distributions: Mapping[str, BaseDistribution]
    texts: Mapping[str, str]

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Return a setting as overrides; numbers with all their digits."""
        # Choices stay text with their quotes, so that Hydra reads them as the user wrote them.
        return [
            f"{key}={params[key] if isinstance(params[key], str) else repr(params[key])}"
            for key in self.distributions
        ]

    @property
    def middle(self) -> dict[str, Any]:
        """A setting in the middle of the space: the ends of an interval need not be allowed."""
        return {key: _middle(distribution) for key, distribution in self.distributions.items()}

    def identity(self) -> dict[str, Any]:
        """Return the values that must not change when a search continues."""
        shared = [line for line in self.fixed if not _leaves_results_alone(line)]
        return {"space": dict(self.texts), "fixed": sorted(shared)}


def read_search_space(params: Mapping[str, str], arguments: Sequence[str]) -> SearchSpace:
    """Return the search space of ``hydra.sweeper.params`` and the command line.

    Parameters
    ----------
    params : mapping of key to sweep
    arguments : sequence of str
        The task's overrides; a key that is in `params` too wins over it.

    Raises
    ------
    SeedlabError
        When a seed is searched or fixed, a sweep is of another kind, or there is none.
    """
    parser = OverridesParser.create()
    lines = [*(f"{key}={value}" for key, value in params.items()), *arguments]
    found: dict[str, Override] = {
        override.get_key_element(): override for override in parser.parse_overrides(lines)
    }
    fixed: list[str] = []
    distributions: dict[str, BaseDistribution] = {}
    texts: dict[str, str] = {}
    for key, override in found.items():
        _refuse_seeds(key.lstrip("+~"), override.is_sweep_override())
        if override.is_sweep_override():
            distributions[key] = _distribution(key, override)
            texts[key] = str(override.input_line).partition("=")[2]
        else:
            fixed.append(str(override.input_line))
    if not distributions:
        raise SeedlabError(
            "hydra/sweeper=seedlab_optuna has nothing to search; give at least one key a range, for "
            "instance 'recipe.optimizer.learning_rate=tag(log,interval(1e-5,1e-3))', or leave the "
            "sweeper out to train a grid."
        )
    return SearchSpace(tuple(fixed), distributions, texts)


def _leaves_results_alone(line: str) -> bool:
    key = line.lstrip("+~").partition("=")[0]
    # engine.score chooses the reported score, so it does change the result.
    return key != "engine.score" and (key.split(".")[0] in _ELSEWHERE or key in _NO_IDENTITY)


def _refuse_seeds(key: str, swept: bool) -> None:
    if key.startswith("seed.") and swept:
        raise SeedlabError(
            f"{key} is swept, but a search must not choose a seed: the seed with the best score is the "
            "luckiest one, and its luck does not carry over. Every setting is trained with the same "
            "seeds, hydra.sweeper.seeds of them at most; leave the seeds (and grid=...) out, or leave "
            "hydra/sweeper=seedlab_optuna out to train a grid."
        )
    if key in _REPLICATE_SEEDS:
        raise SeedlabError(
            f"{key} is fixed, but replicates of a setting differ in nothing else: replicate r is "
            "trained with seed.init=r and seed.order=r. Leave it out."
        )


def _distribution(key: str, override: Override) -> BaseDistribution:
    sweep = override.value()
    line = override.input_line
    if isinstance(sweep, IntervalSweep | RangeSweep) and sweep.tags - {"log"}:
        raise SeedlabError(
            f"{line} has the tag {', '.join(sorted(sweep.tags - {'log'}))}; allowed: the tag log, as in "
            "tag(log,interval(1e-5,1e-3))."
        )
    try:
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        if isinstance(sweep, IntervalSweep):
            return _interval(sweep)
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
    except ValueError as error:
        raise SeedlabError(f"{line} is no range to search ({error}).") from error
    raise SeedlabError(
        f"{line} can't be searched; allowed: interval(a,b), tag(log,interval(a,b)), "
        "int(interval(a,b)), range(a,b) and choice(a,b)."
    )


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start or 0.0, sweep.end or 0.0, "log" in sweep.tags
    # Hydra gives whole numbers for int(interval(a,b)) alone.
    if (type(sweep.start), type(sweep.end)) == (int, int):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    """Return the values that Hydra would enumerate: the stop is not among them."""
    values, log = list(sweep.range()), "log" in sweep.tags
    if not values:
        raise ValueError("it holds no value")
    if all(isinstance(value, int) for value in values):
        return IntDistribution(
            int(min(values)), int(max(values)), step=abs(int(sweep.step)), log=log
        )
    if log:
        raise ValueError("a log scale has no steps; write tag(log,interval(...))")
    low, step = float(min(values)), abs(float(sweep.step))
    # Adding up steps would put the last value a rounding error beside the grid.
    return FloatDistribution(low, low + step * (len(values) - 1), step=step)


def _middle(distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high):
            return (low + high) / 2
        case IntDistribution(low=low, high=high, step=step):
            return low + (high - low) // step // 2 * step
        case CategoricalDistribution(choices=choices):
            return choices[0]
    raise TypeError(f"{distribution} is no distribution that `_distribution` makes")
