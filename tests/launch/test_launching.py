"""The launcher as Hydra's users see it: returns, folders, callbacks, what is skipped."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from seedlab.errors import SeedlabError
from tests.suites import launch_toy
from tests.suites.launch_toy import toy_score
from tests.suites.toy_bench import Toy, grid


def test_every_job_returns_its_score_in_order(toy: Toy) -> None:
    returns = toy.launch(grid(3, 2), first=10)
    expected = [toy_score(i, o) for i in range(3) for o in range(2)]
    assert [job.return_value for job in returns] == expected
    assert [job.overrides[-2:] for job in returns] == grid(3, 2)
    assert [job.hydra_cfg.hydra.job.num for job in returns] == list(range(10, 16))
    assert all(job.status is JobStatus.COMPLETED for job in returns)


def test_runs_are_trained_in_packs_with_columns_together(toy: Toy) -> None:
    toy.launch(grid(2, 2))
    assert [line.split()[1:] for line in toy.notes("packs")] == [
        ["0,0", "1,0"],
        ["0,1", "1,1"],
    ]


def test_what_is_finished_is_not_trained_again_and_an_extension_trains_what_is_new(
    toy: Toy,
) -> None:
    toy.launch(grid(2, 2))
    returns = toy.launch(grid(2, 3))
    assert [job.return_value for job in returns] == [
        toy_score(i, o) for i in range(2) for o in range(3)
    ]
    assert sorted(toy.notes("trained")) == sorted(f"{i},{o}" for i in range(2) for o in range(3))
    skipped = returns[0]
    assert skipped.status is JobStatus.COMPLETED
    assert skipped.cfg is None  # no configuration is copied for it


def test_a_finished_study_starts_no_worker(toy: Toy) -> None:
    toy.launch(grid(2, 1))
    before = toy.notes("packs")
    returns = toy.launch(grid(2, 1), "hydra.launcher.gpus=null")
    assert [job.return_value for job in returns] == [toy_score(0, 0), toy_score(1, 0)]
    assert toy.notes("packs") == before


def test_the_study_is_opened_with_all_runs(toy: Toy) -> None:
    toy.launch(grid(2, 1))
    toy.launch(grid(3, 1))
    assert len(OmegaConf.load(toy.study / "begun.json")) == 3


def test_job_folders_hold_what_hydra_would_have_written(toy: Toy) -> None:
    batch = [*grid(2, 2), ["seed.init=5", "seed.order=5", "seed.dropout=1", "+tag=x"]]
    ours = toy.launch(batch)
    other = Toy(toy.study)
    theirs = other.launch(
        batch, "hydra/launcher=basic", "hydra.sweep.dir=" + str(toy.study / "basic")
    )
    for mine, basic in zip(ours, theirs, strict=True):
        assert mine.cfg == basic.cfg
        assert mine.overrides == basic.overrides
        # What may differ: where it lies, its id and which launcher it was.
        left, right = (_comparable(job.hydra_cfg) for job in (mine, basic))
        assert left == right
        folder = Path(mine.hydra_cfg.hydra.runtime.output_dir)
        assert folder.parent == toy.study / "jobs"
        assert OmegaConf.load(folder / ".hydra" / "config.yaml") == basic.cfg
        assert OmegaConf.load(folder / ".hydra" / "overrides.yaml") == basic.overrides


def _comparable(cfg: object) -> object:
    plain = copy.deepcopy(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(plain, dict)
    hydra = plain["hydra"]
    for section, key in (("sweep", "dir"), ("job", "id"), ("runtime", "output_dir")):
        del hydra[section][key]
    del hydra["launcher"], hydra["overrides"]["hydra"], hydra["runtime"]["choices"]
    return plain


def test_callbacks_are_fired_around_the_pack_in_the_worker(toy: Toy, tmp_path: Path) -> None:
    file = tmp_path / "callbacks.txt"
    toy.sweep(
        "seed.init=range(0,3)",
        "+hydra.callbacks.recorder._target_=tests.suites.launch_toy.Recorder",
        f"+hydra.callbacks.recorder.file={file}",
    )
    lines = [line.split() for line in file.read_text().splitlines()]
    assert [what for what, _ in lines] == [
        "multirun_start",
        *(f"job_start:{number}:run" for number in range(3)),
        *(f"job_end:{number}:COMPLETED" for number in reversed(range(3))),
        "multirun_end",
    ]
    worker = toy.notes("packs")[0].split()[0]
    assert {pid for what, pid in lines if what.startswith("job")} == {worker}


@pytest.mark.slow  # Hydra's own `run_job` copies a configuration five times: 45 ms per job
def test_a_pack_of_hundreds_of_jobs_nests_beyond_the_usual_recursion_limit(toy: Toy) -> None:
    returns = toy.launch(grid(400, 1), "engine.width=400", "hydra.output_subdir=null")
    assert len(toy.notes("packs")) == 1
    assert all(job.status is JobStatus.COMPLETED for job in returns)


def test_duplicate_cells_are_refused_before_anything_runs(toy: Toy) -> None:
    with pytest.raises(SeedlabError, match=r"names one run twice \(init seed 1, order seed 0"):
        toy.launch([*grid(2, 1), ["seed.init=1"]])
    assert toy.notes("packs") == []


def test_a_duplicate_of_a_finished_cell_is_refused_too(toy: Toy) -> None:
    toy.launch(grid(1, 1))
    with pytest.raises(SeedlabError, match="names one run twice"):
        toy.launch([*grid(1, 1), *grid(1, 1)])


def test_changing_the_working_directory_is_refused(toy: Toy) -> None:
    with pytest.raises(SeedlabError, match=r"hydra\.job\.chdir is true.*only false is allowed"):
        toy.launch(grid(1, 1), "hydra.job.chdir=true")


def test_engines_of_one_launch_agree_on_threads(toy: Toy) -> None:
    with pytest.raises(SeedlabError, match="can't differ between the jobs of one launch"):
        toy.launch([["engine.threads=1"], ["engine.threads=2", "seed.init=1"]])


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.launch(grid(2, 1))
    returns = toy.launch(grid(3, 3), "dry=true")
    assert "9 runs, 3 packs, 2 on record" in capsys.readouterr().out
    assert [job.return_value for job in returns] == [None] * 9
    assert len(toy.notes("trained")) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("retries=-1", r"hydra\.launcher\.retries is -1; it must be 0"),
        (
            "give_up_after=0",
            r"hydra\.launcher\.give_up_after is 0; it must be a number of failures",
        ),
        ("heartbeat=0", r"hydra\.launcher\.heartbeat is 0\.0; it must be a number of seconds"),
        ("start_timeout=-1", r"hydra\.launcher\.start_timeout is -1\.0"),
        ("slots=0", r"hydra\.launcher\.slots is 0, but at least 1"),
        ("gpus=[99]", r"hydra\.launcher\.gpus is \[99\]: 99 not there"),
        ("progress=lives", r"progress is 'lives'.*Did you mean 'live'\?"),
    ],
)
def test_bad_settings_are_refused(toy: Toy, setting: str, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        toy.launch(grid(1, 1), f"hydra.launcher.{setting}", "engine.device=auto")


def test_sweeps_from_the_configuration_and_the_command_line_are_multiplied(toy: Toy) -> None:
    returns = toy.sweep("seed.order=range(0,3)", config="toy_swept")
    assert [job.return_value for job in returns] == [
        toy_score(i, o) for i in (4, 7) for o in range(3)
    ]


def test_other_launchers_still_run_the_application(toy: Toy) -> None:
    for launcher in ("basic", "joblib"):
        returns = toy.sweep(f"hydra/launcher={launcher}", "seed.init=1,2")
        assert [job.return_value for job in returns] == [toy_score(1, 0), toy_score(2, 0)]


def test_a_foreign_task_function_is_run_job_by_job_in_one_worker(toy: Toy) -> None:
    returns = toy.launch(grid(3, 1), "task=pid", task=launch_toy.foreign)
    assert len({job.return_value for job in returns}) == 1


def test_workers_start_without_torch(toy: Toy) -> None:
    [job] = toy.launch(grid(1, 1), "task=modules", task=launch_toy.foreign)
    assert job.return_value is False


def test_threads_are_set_before_the_interpreter_starts(toy: Toy) -> None:
    [job] = toy.launch(grid(1, 1), "task=environment", task=launch_toy.foreign)
    assert job.return_value["OMP_NUM_THREADS"].isdigit()


def test_workers_output_reaches_this_process(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.launch(grid(1, 1), "task=chatter", task=launch_toy.foreign)
    lines = capsys.readouterr().out.splitlines()
    for line in ("hello from a worker", "and from its stderr", "no end of line"):
        assert line in lines
