"""The search: what it trains, decides and stores, and that it goes on after any kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import conftest
import launch_toy
import numpy as np
import optuna
import pytest
from conftest import Toy
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

# Registers seedlab's configuration before Hydra's fixtures remember what is registered.
import seedlab.launch.app  # noqa: F401
from hydra_plugins.hydra_seedlab.search import SeedlabSearchConf
from seedlab.errors import SeedlabError
from seedlab.launch.search import search
from seedlab.launch.search_settings import read_search_settings


class Killed(BaseException):
    """Stands for kill -9."""


class Bench:
    """A search whose jobs are a function of x and the seeds, with a store of what was trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trained: list[dict[str, Any]] = []
        self.store: dict[str, Any] = {}
        self.launches: list[list[str]] = []
        self.score: Callable[[dict[str, Any]], Any] = noisy_parabola
        self.before_run: Callable[[], None] = lambda: None

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """As a Hydra launcher."""
        self.launches.append([" ".join(job) for job in batch])
        returns = []
        for job in batch:
            key = " ".join(job)
            if key not in self.store:
                self.before_run()
                values = dict(line.split("=") for line in job)
                self.trained.append(values)
                self.store[key] = self.score(values)
            value = self.store[key]
            failed = isinstance(value, Exception)
            status = JobStatus.FAILED if failed else JobStatus.COMPLETED
            returns.append(JobReturn(overrides=job, status=status, _return_value=value))
        return returns

    def search(self, *arguments: str, dry: bool = False, **values: Any) -> dict[str, Any] | None:
        given = {
            **vars(SeedlabSearchConf()),
            "storage": "journal",
            "trials": 8,
            "seeds": 8,
            **values,
        }
        config = OmegaConf.create({"hydra": {"sweep": {"dir": str(self.folder)}}, "dry": dry})
        context = type("Context", (), {"config_loader": None})()
        settings = read_search_settings(given)
        lines = arguments or ("x=interval(0,1)",)
        return search(settings, lines, self, context, lambda cfg: None, config)  # type: ignore[arg-type]

    def study(self) -> optuna.Study:
        backend = JournalFileBackend(str(self.folder / "optuna.log"))
        return optuna.load_study(
            study_name=self.folder.name, storage=optuna.storages.JournalStorage(backend)
        )

    def facts(self) -> list[tuple[Any, ...]]:
        """All that a search decided."""
        return [
            (t.number, t.state.name, t.params, t.value, t.intermediate_values, t.user_attrs)
            for t in self.study().trials
        ]


def noisy_parabola(values: dict[str, Any]) -> float:
    x, seed = float(values["x"]), int(values["seed.init"])
    noise = np.random.default_rng([seed, int(x * 1e9)]).normal()
    return 0.8 - (x - 0.3) ** 2 + 0.01 * float(noise)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "study")


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


@pytest.mark.parametrize("part", range(5))
def test_a_search_killed_at_a_write_goes_on_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """At every fifth of the storage's writes."""
    whole, writes = searched_whole(tmp_path, monkeypatch)
    check_kill(tmp_path, monkeypatch, whole, part * writes // 5 + part)


@pytest.mark.slow
def test_a_search_killed_at_any_write_goes_on_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, writes = searched_whole(tmp_path, monkeypatch)
    assert writes > 50
    for kill_at in range(writes):
        check_kill(tmp_path, monkeypatch, whole, kill_at)


KILLED = {"trials": 6, "trials_at_once": 3, "seeds": 8, "startup_trials": 2}


def searched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, int]:
    whole = Bench(tmp_path / "whole" / "study")
    with monkeypatch.context() as patch:
        count = count_writes(patch, None)
        whole.search(**KILLED)
    return whole, count()


def count_writes(patch: pytest.MonkeyPatch, kill_at: int | None) -> Callable[[], int]:
    """Count the storage's writes; the one of that number is not made, and kills."""
    written = 0
    append = JournalFileBackend.append_logs

    def append_or_die(backend: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        nonlocal written
        written += 1
        if written - 1 == kill_at:
            raise Killed
        append(backend, logs)

    patch.setattr(JournalFileBackend, "append_logs", append_or_die)
    return lambda: written


def check_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Bench, kill_at: int) -> None:
    bench = Bench(tmp_path / f"killed-{kill_at}" / "study")
    with monkeypatch.context() as patch:
        count_writes(patch, kill_at)
        with pytest.raises(Killed):
            bench.search(**KILLED)
    bench.search(**KILLED)
    assert bench.facts() == whole.facts()
    assert bench.trained == whole.trained


@pytest.mark.parametrize("kill_at", [0, 14, 25])
def test_a_search_killed_in_a_round_trains_nothing_twice(tmp_path: Path, kill_at: int) -> None:
    values = {"trials": 6, "trials_at_once": 3, "seeds": 8}
    whole = Bench(tmp_path / "whole" / "study")
    whole.search(**values)
    bench = Bench(tmp_path / "killed" / "study")

    def die() -> None:
        if len(bench.trained) == kill_at:
            raise Killed

    bench.before_run = die
    with pytest.raises(Killed):
        bench.search(**values)
    bench.before_run = lambda: None
    bench.search(**values)
    assert bench.facts() == whole.facts()
    assert bench.trained == whole.trained


def test_a_finished_search_trains_nothing_and_a_longer_one_what_is_new(bench: Bench) -> None:
    bench.search(trials=4, trials_at_once=2)
    before = bench.facts()
    runs = len(bench.trained)
    bench.search(trials=4, trials_at_once=2)
    assert len(bench.trained) == runs
    bench.search(trials=6, trials_at_once=2)
    assert bench.facts()[:4] == before
    assert len(bench.facts()) == 6


def test_proposals_depend_on_the_sampler_seed_alone(tmp_path: Path) -> None:
    found = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        bench = Bench(tmp_path / place / "study")
        bench.search(trials=3, seeds=2, sampler_seed=seed)
        found.append([trial.params["x"] for trial in bench.study().trials])
    assert found[0] == found[1] != found[2]
    assert len(set(found[0])) == 3


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({}, {"seeds": 5}, "seeds: 4 then, 5 now"),
        ({}, {"alpha": 0.2}, r"alpha: 0\.1 then, 0\.2 now"),
        ({}, {"objective": "median"}, r"objectives: \['mean'\] then, \['median'\] now"),
        ({"lines": ["a=1"]}, {"lines": ["a=2"]}, r"fixed: \['a=1'\] then, \['a=2'\] now"),
        ({}, {"lines": ["engine.score=final"]}, r"fixed: \[\] then, \['engine.score=final'\] now"),
        ({"lines": []}, {"lines": ["x=interval(0,2)"]}, r"space: .*interval\(0,2\)"),
    ],
)  # fmt: skip
def test_another_search_in_the_same_place_is_refused(
    bench: Bench, first: dict[str, Any], then: dict[str, Any], message: str
) -> None:
    values: dict[str, Any] = {"trials": 2, "seeds": 4}
    bench.search("x=interval(0,1)", *first.pop("lines", []), **values | first)
    runs = len(bench.trained)
    with pytest.raises(SeedlabError, match=message):
        bench.search("x=interval(0,1)", *then.pop("lines", []), **values | then)
    assert len(bench.trained) == runs


def test_where_and_how_it_is_trained_may_change(bench: Bench) -> None:
    bench.search("x=interval(0,1)", "engine.width=1", trials=2, seeds=2)
    bench.search("x=interval(0,1)", "engine.width=4", "dry=false", trials=2, seeds=2)


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


def test_a_second_process_is_refused(bench: Bench) -> None:
    def inside() -> None:
        bench.before_run = lambda: None
        with pytest.raises(SeedlabError, match="another process searches in"):
            bench.search()

    bench.before_run = inside
    bench.search(trials=1, seeds=1)


def test_failure_rate_needs_to_know_failures(bench: Bench) -> None:
    with pytest.raises(SeedlabError, match="only seedlab's own tasks say so"):
        bench.search(objective="failure_rate")
    assert not bench.trained


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trials": 0}, "hydra.sweeper.trials is 0; it must be a whole number from 1 on"),
        ({"seeds": 0}, "hydra.sweeper.seeds is 0"),
        ({"alpha": 1.0}, r"alpha is 1\.0; it must lie between 0 and 1"),
        ({"pruner": "sequentia"}, "pruner is 'sequentia'; allowed: .* Did you mean 'sequential'"),
        ({"statistic": "z"}, "statistic is 'z'; allowed: t, signed_rank"),
        ({"direction": "up"}, "direction is 'up'; allowed: maximize, minimize"),
        ({"storage": "file"}, "storage is 'file'; allowed: sqlite, journal"),
        ({"objective": "best"}, "objective 'best' is not known; allowed: mean, median"),
        ({"objective": ["mean"] * 2}, "allowed: one objective, or a list of two"),
        ({"objective": []}, "allowed: one objective, or a list of two"),
        (
            {"objective": "expected_best(9)"},
            "needs 9 seeds per setting and hydra.sweeper.seeds is 8",
        ),
    ],
)
def test_values_out_of_range_are_refused(
    bench: Bench, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SeedlabError, match=message):
        bench.search(**values)


def test_hydra_finds_the_sweeper(toy: Toy) -> None:
    """The whole way through Hydra and the launcher, with its toy application."""
    toy.study.mkdir()
    hydra = conftest._hydra()
    try:
        hydra.multirun("toy", launch_toy.run, [*toy.fixed, *conftest._quiet([]), *TOY])
    finally:
        GlobalHydra.instance().clear()
    assert Counter(toy.notes("trained")) == {f"{r},{r}": 3 for r in range(4)}
    node = ConfigStore.instance().load("hydra/sweeper/seedlab_optuna.yaml").node
    assert node.trials == 20


TOY = [
    "hydra/sweeper=seedlab_optuna",
    "seconds=interval(0,0.001)",
    "hydra.sweeper.trials=3",
    "hydra.sweeper.seeds=4",
]


@pytest.mark.slow
def test_a_search_killed_with_kill_9_goes_on(tmp_path: Path) -> None:
    """A real process, real workers, SQLite; killed in the second batch."""
    study = tmp_path / "study"
    study.mkdir()
    command = [sys.executable, launch_toy.__file__, "-m", f"study={study}", *TOY[:1]]
    command += ["seconds=interval(0.2,0.3)", "hydra.sweeper.trials=6", "hydra.sweeper.seeds=5"]
    command += ["hydra.sweeper.trials_at_once=3", "hydra.launcher.slots=2"]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    trained = study / "trained.txt"
    end = time.monotonic() + 60
    while not trained.exists() or len(trained.read_text().splitlines()) < 18:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # The workers find their parent gone, and end.
    time.sleep(1.5)
    before = trained.read_text().splitlines()
    assert 18 <= len(before) < 30
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    after = trained.read_text().splitlines()
    assert after[: len(before)] == before
    assert Counter(after) == {f"{r},{r}": 6 for r in range(5)}
    assert len(list((study / "runs").glob("*.json"))) == 30
    trials = read_sqlite(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    # The same proposals as those of a search that nobody killed.
    whole = tmp_path / "whole" / "study"
    whole.parent.mkdir()
    whole.mkdir()
    again = [part.replace(str(study), str(whole)) for part in command]
    assert subprocess.run(again, capture_output=True, timeout=120, check=False).returncode == 0
    assert [t.params for t in read_sqlite(whole)] == [t.params for t in trials]


def read_sqlite(study: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{study / 'optuna.db'}")
    try:
        return optuna.load_study(study_name="study", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.slow
def test_seedlabs_own_runs_are_judged_by_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real search on the embedded task, for the failure rate, which records alone know."""
    from seedlab.cli import main
    from seedlab.store.study import Study

    monkeypatch.chdir(tmp_path)
    command = [
        "run", "-m", "hydra/sweeper=seedlab_optuna", "study=search", "task=acceptability",
        "task.examples=200", "task.dev_examples=100", "recipe.max_steps=3",
        "recipe.optimizer.learning_rate=choice(1e-9,1e-3)", "hydra.sweeper.objective=failure_rate",
        "hydra.sweeper.trials=3", "hydra.sweeper.seeds=2", "hydra.launcher.slots=1", "engine.width=2",
    ]  # fmt: skip
    assert main(command) == 0
    # Settings that differ in their learning rate share the pack of an order seed.
    assert "4 runs: 0 on record, 4 to train in 2 packs" in capsys.readouterr().out
    records = Study(tmp_path / "studies" / "search").finished().values()
    trials = optuna.load_study(
        study_name="search", storage=f"sqlite:///{tmp_path}/studies/search/optuna.db"
    ).trials
    for trial in trials:
        rate = float(trial.params["recipe.optimizer.learning_rate"])
        mine = [r for r in records if r.run_spec().recipe.optimizer.learning_rate == rate]
        assert len(mine) == 2
        assert trial.value == np.mean([r.failed for r in mine])
        assert sorted(trial.user_attrs["scores"]) == sorted(r.best_score for r in mine)
    assert main([*command, "hydra.sweeper.direction=minimize"]) == 2
    assert "the task's metric is one to maximize" in capsys.readouterr().err


def test_settings_are_kept_as_json(bench: Bench) -> None:
    bench.search(trials=1, seeds=1)
    begun = bench.study().user_attrs["search"]
    assert json.loads(json.dumps(begun)) == begun
    assert begun["space"] == {"x": "interval(0,1)"}


def test_a_policy_that_drops_seeds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seedlab.cli import main

    monkeypatch.chdir(tmp_path)
    command = [
        "run", "-m", "hydra/sweeper=seedlab_optuna", "study=search", "task.examples=100",
        "recipe.optimizer.learning_rate=interval(0,1)", "early_stopping=start_many",
        "early_stopping.continued=1",
    ]  # fmt: skip
    assert main(command) == 2
    assert "a setting would be judged by its lucky ones" in capsys.readouterr().err
    assert not (tmp_path / "studies" / "search" / "optuna.db").exists()
