"""Files that do not belong to the installation may not run code: neither by Hydra nor by a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from seedlab.application.trust import check_foreign, is_installed
from seedlab.commands.cli import main
from seedlab.config.experiments import experiment_overrides
from seedlab.errors import SeedlabError
from seedlab.paths import conf_folder, experiments_folder
from seedlab.reproduce.retrain import repeat
from seedlab.store.make_record import make_record
from seedlab.store.study import StoredRun
from tests.suites.store_cases import make_result, make_spec, make_task

CODE = """\
# @package _global_
study: mine
hydra:
  callbacks:
    x:
      _target_: shutil.copyfile
      src: /dev/null
      dst: {}
"""


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Register the keys of the launcher and the sweepers, as every start of Hydra does."""
    Plugins.instance()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments/demo").mkdir(parents=True)
    (tmp_path / "experiments/demo/study.yaml").write_text(CODE.format(tmp_path / "pwned"))
    return tmp_path


def test_a_file_of_the_working_directory_does_not_take_the_place_of_a_shipped_one(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "experiment=demo", "--cfg", "job"]) == 0
    assert "study: demo" in capsys.readouterr().out
    assert not (place / "pwned").exists()
    assert experiment_overrides("demo", str(place / "experiments")) == ["+demo=study"]


def test_a_file_of_the_working_directory_must_be_named_by_its_path(place: Path) -> None:
    (place / "experiments/mine").mkdir()
    (place / "experiments/mine/study.yaml").touch()
    with pytest.raises(SeedlabError, match=r"name it by its path, experiment=experiments/mine/"):
        experiment_overrides("mine", None)
    with pytest.raises(SeedlabError, match=r"experiment=mine.yaml is not a file"):
        experiment_overrides("mine.yaml", None)
    assert experiment_overrides("mine", "experiments") == ["+mine=study"]


@pytest.mark.parametrize("words", [["dry=true"], ["-m", "seed.init=0,1"]])
def test_a_file_without_a_study_is_answered_with_the_key_that_names_it(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (place / "plain.yaml").write_text("# @package _global_\nrecipe: {batch_size: 8}\n")
    assert main(["run", "experiment=plain.yaml", *words]) == 2
    assert capsys.readouterr().err == (
        "seedlab: the study has no name; give it one with study=NAME.\n"
    )
    assert {path.name for path in place.iterdir()} == {"experiments", "plain.yaml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "experiment=experiments/demo/study.yaml", "dry=true"],
        ["demo", "study=x", "+experiment_file=study", "hydra.searchpath=[experiment://{}]"],
    ],
)
def test_code_in_a_study_file_is_refused_before_it_runs(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    folder = str(place / "experiments/demo")
    assert main([word.replace("{}", folder) for word in arguments]) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert f"{folder}/study.yaml sets hydra.callbacks.x._target_=shutil.copyfile" in said
    assert "if you trust it, add --trust" in said
    assert {path.name for path in place.iterdir()} == {"experiments"}


def test_trust_lets_a_file_run_code(place: Path) -> None:
    """The function is called, and Hydra then fails because it made no callback."""
    arguments = ["experiment=experiments/demo/study.yaml", "recipe.batch_size=0"]
    with pytest.warns(UserWarning, match="Callback"):
        main(["run", "--trust", *arguments])
    assert (place / "pwned").is_file()


def test_words_of_the_command_line_are_trusted(place: Path) -> None:
    target = "hydra.experimental.callbacks.LogJobReturnCallback"
    words = ["study=x", f"+hydra.callbacks.x._target_={target}", "hydra.sweep.dir=elsewhere"]
    assert main(["run", *words, "hydra.launcher.executor=some:Executor", "--cfg", "job"]) == 0


@pytest.mark.parametrize("flag", ["--config-path", "-cn", "--experimental-rerun", "--exp"])
def test_flags_that_replace_the_configuration_need_trust(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", f"{flag}=file"]) == 2
    assert "trust the file with --trust" in capsys.readouterr().err


ALLOWED = """
study: mine
studies_dir: sub/studies
task: {name: rte, path: "${oc.env:DATA}/rte"}
model: {allow_pickle: false}
hydra:
  mode: MULTIRUN
  launcher: {slots: 2, gpus: [0, 1], executor: local, _target_: hydra_plugins.hydra_seedlab.launcher.SeedlabLauncher}
  sweeper: {trials: 3, storage: journal, objective: [mean, failure_rate], params: {seed.init: "range(0,5)", hydra_like: 1, recipe: "a,b"}}
  callbacks: {x: {_target_: hydra.experimental.callbacks.LogJobReturnCallback}}
"""  # fmt: skip


def test_a_study_file_may_set_what_a_study_needs() -> None:
    check_foreign("file", OmegaConf.create(ALLOWED))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("task: {_target_: os.system}", "task._target_"),
        ("x: [{_target_: os.system}]", "x.0._target_"),
        ("hydra: {callbacks: {x: {_target_: '${y}'}}}", "hydra.callbacks.x._target_"),
        ("hydra: {callbacks: '${y}'}", "hydra.callbacks"),
        ("hydra: '${y}'", "hydra"),
        ("hydra: {callbacks: {x: {_target_: hydra.utils.call}}}", "hydra.callbacks.x._target_"),
        (
            "hydra: {callbacks: {x: {_target_: hydra_plugins.hydra_seedlab.a, b: 1}}}",
            "hydra.callbacks.x._target_",
        ),
        ("hydra: {job_logging: {formatters: {x: {(): os.system}}}}", "hydra.job_logging"),
        ("hydra: {hydra_logging: {handlers: {x: {class: os.system}}}}", "hydra.hydra_logging"),
        ("hydra: {launcher: {executor: 'a:B'}}", "hydra.launcher.executor"),
        ("hydra: {launcher: {slots: '${oc.decode:x}'}}", "hydra.launcher.slots"),
        ("hydra: {launcher: {setup: [rm]}}", "hydra.launcher.setup"),
        ("hydra: {launcher: '${x}'}", "hydra.launcher"),
        ("hydra: {sweeper: {storage: 'postgresql://x'}}", "hydra.sweeper.storage"),
        ("hydra: {sweeper: {params: '${x}'}}", "hydra.sweeper.params"),
        ("hydra: {sweeper: {params: {+hydra.x: 1}}}", "hydra.sweeper.params.+hydra.x"),
        ("hydra: {sweeper: {params: {hydra.x: 1}}}", "hydra.sweeper.params.hydra.x"),
        ("hydra: {sweeper: {params: {hydra/x: 1}}}", "hydra.sweeper.params.hydra/x"),
        ("hydra: {sweeper: {params: {studies_dir: /}}}", "hydra.sweeper.params.studies_dir"),
        (
            "hydra: {sweeper: {params: {model: '{allow_pickle:1}'}}}",
            "hydra.sweeper.params.model",
        ),
        ("hydra: {searchpath: ['pkg://x']}", "hydra.searchpath.0"),
        ("hydra: {run: {dir: /}}", "hydra.run.dir"),
        ("hydra: {sweep: {subdir: ../..}}", "hydra.sweep.subdir"),
        ("hydra: {output_subdir: ../..}", "hydra.output_subdir"),
        ("hydra: {job: {env_set: {LD_PRELOAD: x}}}", "hydra.job.env_set"),
        ("model: {trust_remote_code: true}", "model.trust_remote_code"),
        ("model: {allow_pickle: '${x}'}", "model.allow_pickle"),
        ("studies_dir: /etc", "studies_dir"),
        ("studies_dir: a/../..", "studies_dir"),
        ("studies_dir: '${x}'", "studies_dir"),
    ],
)
def test_a_foreign_file_may_set_nothing_else(text: str, key: str) -> None:
    with pytest.raises(SeedlabError, match=r"^file sets ") as refused:
        check_foreign("file", OmegaConf.create(text))
    assert f"file sets {key}" in str(refused.value)


def test_a_refusal_is_one_line() -> None:
    config = OmegaConf.create({"a": {"_target_": "x\n\x1b[2J" + "y" * 500}})
    with pytest.raises(SeedlabError) as refused:
        check_foreign("file", config)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("root", "name", "installed"),
    [
        (f"file://{conf_folder()}", "recipe/devlin", True),
        (f"file://{experiments_folder()}", "demo/study", True),
        ("pkg://hydra.conf", "hydra/config", True),
        ("structured://", "seedlab_defaults", True),
        (f"file://{conf_folder()}", "recipe/../../x", False),
        (f"file://{conf_folder()}", "/tmp/x", False),
        (f"file://{conf_folder()}x", "x", False),
        (f"experiment://{experiments_folder()}", "demo/study", False),
        ("pkg://somebody", "x", False),
    ],
)
def test_the_installation_is_known_by_its_folders(root: str, name: str, installed: bool) -> None:
    assert is_installed(root, name) == installed


def test_a_record_may_not_run_a_models_code() -> None:
    """`verify`, `save` and `surface` repeat runs of studies that others may have written."""
    spec = make_spec()
    spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, trust_remote_code=True))
    task = make_task()
    stored = StoredRun(make_record(make_result(task, spec=spec), task), {})  # type: ignore[arg-type]
    with pytest.raises(
        SeedlabError, match=r"model\.trust_remote_code=true.*if you trust .* add --trust"
    ):
        repeat(stored)
