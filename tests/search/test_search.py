"""The search: what it trains, reports and decides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from seedlab.errors import SeedlabError
from tests.suites.search_bench import Bench, noisy_parabola


def test_it_finds_the_place_and_saves_the_seeds_of_what_is_clearly_worse(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    best = bench.search(trials=20, seeds=10)
    assert best is not None
    assert abs(best["x"] - 0.3) < 0.15
    trials = bench.study().trials
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.PRUNED] >= 5
    assert len(bench.trained) < 150 < 20 * 10
    # Far from the optimum nothing keeps its seeds, near it nothing loses them.
    for trial in trials:
        seeds = len(trial.user_attrs["scores"])
        distance = abs(trial.params["x"] - 0.3)
        assert distance < 0.35 if seeds == 10 else distance > 0.05
    text = capsys.readouterr().out
    assert f"20 settings, {len(bench.trained)} runs; all seeds for all of them: 200." in text
    assert f"* trial {bench.study().best_trial.number}: x={best['x']!r}" in text
    assert f"optuna-dashboard {bench.folder / 'optuna.log'}" in text


def test_every_setting_gets_the_same_seeds_and_a_round_is_one_launch(bench: Bench) -> None:
    bench.search("x=interval(0.29,0.31)", "fixed=1", trials=4, trials_at_once=4, seeds=6)
    for trial in bench.study().trials:
        mine = [run for run in bench.trained if float(run["x"]) == trial.params["x"]]
        seeds = len(trial.user_attrs["scores"])
        assert [(r["seed.init"], r["seed.order"]) for r in mine] == [
            (str(s),) * 2 for s in range(seeds)
        ]
        assert {frozenset(run) for run in mine} == {
            frozenset(["fixed", "x", "seed.init", "seed.order"])
        }
        # Reported: one value per replicate, after its round.
        scores = trial.user_attrs["scores"]
        assert list(trial.intermediate_values.values()) == scores
        assert trial.user_attrs["values"] == pytest.approx([np.mean(scores)])
    # First look at four seeds; columns (one order seed) lie together, so that they share packs.
    assert len(bench.launches[0]) == 16
    orders = [line.rpartition("=")[2] for line in bench.launches[0]]
    assert orders == sorted(orders)


def test_nothing_is_reported_while_a_round_runs(bench: Bench) -> None:
    seen = []

    def look() -> None:
        reported = [len(t.intermediate_values) for t in bench.study().trials]
        seen.append((len(bench.launches), max(reported)))

    bench.before_run = look
    bench.search(trials=2, seeds=8, pruner="none", seeds_per_round=2)
    assert {reported for launch, reported in seen if launch == 1} == {0}


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_the_storage_is_an_ordinary_optuna_study(tmp_path: Path, storage: str) -> None:
    bench = Bench(tmp_path / "study")
    best = bench.search(trials=3, seeds=4, storage=storage)
    if storage == "sqlite":
        opened: Any = optuna.storages.RDBStorage(f"sqlite:///{bench.folder / 'optuna.db'}")
    else:
        opened = optuna.storages.JournalStorage(
            JournalFileBackend(str(bench.folder / "optuna.log"))
        )
    study = optuna.load_study(study_name="study", storage=opened)
    assert study.best_params == best
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 3
    assert study.direction.name == "MAXIMIZE"
    if storage == "sqlite":
        opened.remove_session()
        opened.engine.dispose()


def test_proposals_depend_on_the_sampler_seed_alone(tmp_path: Path) -> None:
    found = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        bench = Bench(tmp_path / place / "study")
        bench.search(trials=3, seeds=2, sampler_seed=seed)
        found.append([trial.params["x"] for trial in bench.study().trials])
    assert found[0] == found[1] != found[2]
    assert len(set(found[0])) == 3


def test_a_setting_whose_run_crashes_is_told_as_failed_and_the_others_go_on(bench: Bench) -> None:
    def score(values: dict[str, Any]) -> Any:
        if float(values["x"]) > 0.6:
            return RuntimeError("out of memory") if values["seed.init"] == "1" else float("nan")
        return noisy_parabola(values)

    bench.score = score
    bench.search(trials=10, seeds=4)
    states = {trial.params["x"] > 0.6: trial.state for trial in bench.study().trials}
    assert states == {True: TrialState.FAIL, False: TrialState.COMPLETE}


def test_a_search_in_which_everything_crashes_says_so(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.score = lambda values: RuntimeError("no")
    assert bench.search(trials=3, seeds=2) is None
    assert "No setting was finished." in capsys.readouterr().out


def test_a_job_without_a_number_is_told(bench: Bench) -> None:
    bench.score = lambda values: None
    with pytest.raises(SeedlabError, match="returned None instead of a number"):
        bench.search(trials=1, seeds=1)


def test_a_loss_is_minimised(bench: Bench) -> None:
    bench.score = lambda values: -noisy_parabola(values)
    best = bench.search(trials=20, direction="minimize")
    assert best is not None
    assert abs(best["x"] - 0.3) < 0.15
    assert any(trial.state == TrialState.PRUNED for trial in bench.study().trials)
    kept = [t for t in bench.study().trials if t.state == TrialState.COMPLETE]
    assert all(abs(trial.params["x"] - 0.3) < 0.35 for trial in kept)


def test_two_objectives_give_a_front_and_every_setting_all_its_seeds(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.search(trials=8, seeds=5, objective=["mean", "quantile(0.2)"])
    trials = bench.study().trials
    assert {len(trial.user_attrs["scores"]) for trial in trials} == {5}
    for trial in trials:
        scores = trial.user_attrs["scores"]
        assert trial.values == pytest.approx([np.mean(scores), np.quantile(scores, 0.2)])
    front = {
        t.number for t in trials
        if not any(all(np.array(o.values) >= t.values) and o.values != t.values for o in trials)
    }  # fmt: skip
    table = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {int(first[:-1]) for first in table if first.endswith("*") and first != "*"} == front
    assert {t.number for t in bench.study().best_trials} == front


@pytest.mark.parametrize("objective", ["median", "expected_best(3)", "quantile(0.25)"])
def test_properties_that_pairs_can_not_decide_get_all_seeds(bench: Bench, objective: str) -> None:
    bench.search(trials=3, objective=objective)
    assert {len(trial.user_attrs["scores"]) for trial in bench.study().trials} == {8}
    assert len(bench.launches) == 1


def test_optunas_wilcoxon_pruner_can_decide_instead(bench: Bench) -> None:
    bench.search(trials=20, pruner="wilcoxon", seeds=10)
    states = Counter(trial.state for trial in bench.study().trials)
    assert states[TrialState.PRUNED] >= 3
    # It compares with completed trials: the first batch keeps all its seeds.
    assert {t.state for t in bench.study().trials[:5]} == {TrialState.COMPLETE}


def test_equal_settings_are_trained_once(bench: Bench) -> None:
    bench.search("x=choice(0.1,0.3)", trials=6, seeds=4)
    assert len(bench.trained) == 8
    assert len(bench.study().trials) == 6


def test_a_dry_search_shows_its_first_settings_and_keeps_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.score = lambda values: None
    assert bench.search(dry=True, trials=3) is None
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition("=")[0] for line in shown] == [f"trial {n}: x" for n in range(3)]
    assert not (bench.folder / "optuna.log").exists()
    bench.score = noisy_parabola
    bench.store.clear()
    bench.search(trials=3)
    proposed = [f"trial {t.number}: x={t.params['x']!r}" for t in bench.study().trials]
    assert proposed == shown
