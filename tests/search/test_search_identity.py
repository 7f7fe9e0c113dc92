"""A search of an earlier release goes on where a setting was added since."""

from __future__ import annotations

from dataclasses import dataclass, fields

from analysis.rules.objectives import parse_objective
from seedlab.fields import later
from seedlab.search.settings import SearchSettings


@dataclass(frozen=True)
class MoreSettings(SearchSettings):
    """Settings of a later release."""

    warm_start: str = later("none")


def test_a_later_setting_counts_only_where_it_is_set() -> None:
    settings = SearchSettings(
        params={},
        trials=2,
        trials_at_once=2,
        objectives=(parse_objective("mean"),),
        direction=None,
        seeds=2,
        seeds_per_round=2,
        pruner="sequential",
        alpha=0.1,
        statistic="t",
        storage="journal",
        study_name=None,
        sampler_seed=0,
        startup_trials=10,
    )
    given = {item.name: getattr(settings, item.name) for item in fields(settings)}
    # As 0.1 put it on file.
    assert settings.identity() == {
        "trials_at_once": 2,
        "seeds": 2,
        "seeds_per_round": 2,
        "pruner": "sequential",
        "alpha": 0.1,
        "statistic": "t",
        "sampler_seed": 0,
        "startup_trials": 10,
        "objectives": ["mean"],
    }
    assert MoreSettings(**given).identity() == settings.identity()
    assert MoreSettings(**given, warm_start="x").identity()["warm_start"] == "x"
