"""The end of a command: refusals are one line, errors in seedlab are shown whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from seedlab.__main__ import main as program
from seedlab.commands.cli import VERBS, main
from seedlab.commands.endings import end
from seedlab.errors import (
    CorruptRunError,
    RunFailedError,
    SeedlabError,
    WorkerDiedError,
    mark_reported,
)
from tests.suites.command_line import SMALL

TABLE = "task,init_seed,order_seed,score\n" + "".join(f"rte,{i},{i},0.{i}\n" for i in range(9))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEEDLAB_DEBUG", raising=False)
    Path("scores.csv").write_text(TABLE)
    return tmp_path


def raise_in_pandas(*_: object, **__: object) -> None:
    """Raise the `ValueError` of pandas itself, as a wrong call in seedlab would."""
    pd.concat([])


def test_what_a_terminal_obeys_is_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the middle of an endless line is left out: its end holds the remedy."""
    message = f"column 'a\x1b[31m\x00\u202eb' of {'x' * 5000}; rename it."
    assert end(SeedlabError(message), [], debug=False) == 2
    said = capsys.readouterr().err
    assert said.startswith(r"seedlab: column 'a\x1b[31m\x00\u202eb' of xxx")
    assert said.endswith("xxx; rename it.\n")
    assert len(said) < 1100
    end(SeedlabError("recipe '👨‍👩‍👧‍👦 naïve', line 1\n\tline 2"), [], debug=False)
    assert capsys.readouterr().err == "seedlab: recipe '👨‍👩‍👧‍👦 naïve', line 1\n\tline 2\n"


def test_ctrl_c_while_modules_are_imported_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "seedlab.commands.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "seedlab.commands.cli")
    monkeypatch.delattr("seedlab.commands.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert program() == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1,\n b: }", "ParserError: .*study.yaml., line 2, column 5"),
        (b"a: " + b"[" * 600, "RecursionError"),
        (b"a: " + b"9" * 6000, "ValueError: Exceeds the limit"),
        (b"\xff\xfe", "UnicodeDecodeError: .*invalid start byte"),
        (b"a: \0", "ReaderError: unacceptable character #x0000"),
    ],
    ids=["syntax", "nested", "digits", "no text", "NUL"],
)
def test_a_file_that_is_no_yaml_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    Path("files").mkdir()
    Path("files/study.yaml").write_bytes(content)
    assert main(["run", "experiment=files/study.yaml", "dry=true"]) == 2
    said = capsys.readouterr().err
    assert re.search(rf"^seedlab: a configuration file is not sound YAML .*{message}", said)
    assert said.endswith("Correct the file, or name another one.\n")
    assert said.count("\n") == 1


REPORT = ["report", "--table", "scores.csv", "--metric", "acc", "--out", "out"]


@pytest.mark.parametrize(
    ("arguments", "patched"),
    [
        (REPORT, "analysis.report.write_report"),
        (["plan", "--width", "1", "--sd", "1"], "analysis.report.plan_answers"),
        (["status", "some"], "seedlab.store.study.find_study"),
        (["run", *SMALL], "seedlab.application.app.check_run"),
        (["run", "-m", *SMALL], "seedlab.application.app.check_run"),
        (["demo"], "seedlab.config.overrides.rewrite"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_value_error_of_pandas_is_an_error_in_seedlab(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    patched: str,
) -> None:
    monkeypatch.setattr(patched, raise_in_pandas)
    assert main(arguments) == 70
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert "in raise_in_pandas" in printed
    assert "ValueError: No objects to concatenate" in printed
    assert "this is an error in seedlab, not in your command. Please report it" in printed
    assert f"command: seedlab {arguments[0]}" in printed
    assert f"torch {torch.__version__.partition('+')[0]}" in printed
    assert f"pandas {pd.__version__}" in printed


@pytest.mark.slow
def test_so_is_one_in_a_worker(place: Path) -> None:
    (place / "sitecustomize.py").write_text(
        "import pandas, seedlab.execution.run_pack as run_pack\n"
        "run_pack.execute = lambda *arguments: pandas.concat([])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "seedlab", "run", "-m", "study=s", *SMALL, "seed.init=0,1"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *sys.path])},
    )
    assert done.returncode == 70
    assert "2 runs failed:" in done.stderr
    assert done.stderr.count("in _clean_keys_and_objs") == 1
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert "Please report it" in done.stderr


@pytest.mark.parametrize("how", ["flag before", "flag after", "variable"])
def test_a_refusal_shows_its_traceback_on_request_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    refused = ["run", "seed.inti=3"]
    monkeypatch.setenv("SEEDLAB_DEBUG", "0")
    assert main(refused) == 2
    [line] = capsys.readouterr().err.splitlines()
    if how == "variable":
        monkeypatch.setenv("SEEDLAB_DEBUG", "1")
    command = {"flag before": ["--debug", *refused], "flag after": [*refused, "--debug"]}
    assert main(command.get(how, refused)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback (most recent call last)")
    assert "in _check_key" in printed
    assert printed.splitlines()[-1] == line
    assert "report it" not in printed


def exit_code(error: BaseException, *, debug: bool = False) -> int:
    return end(error, ["status", "some"], debug=debug)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SeedlabError("a is 1; allowed: 2."), 2, "a is 1; allowed: 2."),
        (CorruptRunError("record.json is missing"), 2, "record.json is missing"),
        (RunFailedError("IndexError: 7"), 1, "IndexError: 7"),
        (WorkerDiedError("its worker was killed"), 1, "its worker was killed"),
        (MemoryError(), 1, "memory ran out (MemoryError); use a smaller engine.width"),
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "memory ran out (CUDA out of memory)"),
        (MemoryError("a pack ran out; use a smaller engine.width."), 1, "seedlab: a pack ran out"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 2, "x.csv: No such file"),
    ],
)
def test_what_is_no_error_in_seedlab_is_one_line(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, text: str
) -> None:
    assert exit_code(error) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("seedlab: ")
    assert text in line


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), OSError(5, "Input/output error")])
def test_all_other_errors_are_errors_in_seedlab(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert exit_code(error) == 70
    assert "Please report it" in capsys.readouterr().err


def test_notes_of_a_worker_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    error = KeyError("x")
    error.add_note("the traceback in the worker")
    assert exit_code(error) == 70
    assert "the traceback in the worker" in capsys.readouterr().err


def test_a_traceback_that_was_printed_is_not_printed_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = KeyError("x")
    error.add_note("the traceback in the worker")
    mark_reported(error)
    assert exit_code(error) == 70
    printed = capsys.readouterr().err
    assert "raceback" not in printed
    assert "Please report it" in printed
    assert exit_code(error, debug=True) == 70
    assert "the traceback in the worker" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["status", "some"], ["--debug", "status", "some"]])
def test_ctrl_c_is_neither_a_refusal_nor_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seedlab.store.study.find_study", interrupt)
    assert main(arguments) == 130
    printed = capsys.readouterr().err
    assert ("Traceback" in printed) == ("--debug" in arguments)
    assert "report it" not in printed


@pytest.mark.parametrize("flags", [[], ["-m"]])
@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("study=${nope}", "Interpolation key 'nope' not found"),
        ("hydra.launcher.nope=1", "nope"),
        ("recipe=[", "recipe=[ is not an override that Hydra can read (no viable"),
    ],
)
def test_a_configuration_that_hydra_refuses_is_a_refusal(
    capsys: pytest.CaptureFixture[str], flags: list[str], override: str, text: str
) -> None:
    assert main(["run", *flags, *SMALL, override]) == 2
    printed = capsys.readouterr().err
    assert text in printed
    assert "Traceback" not in printed


def test_settings_of_the_launcher_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "-m", *SMALL, "hydra.launcher.retries=-1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "hydra.launcher.retries is -1; it must be 0" in line


def test_refusals_are_no_value_errors() -> None:
    """So that `except ValueError` around a library's call can't swallow one."""
    for kind in (SeedlabError, CorruptRunError, RunFailedError, WorkerDiedError):
        assert not issubclass(kind, ValueError)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_text(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*([] if verb == "run" else [verb]), "--help"])
    assert ended.value.code == 0
    assert verb in capsys.readouterr().out
