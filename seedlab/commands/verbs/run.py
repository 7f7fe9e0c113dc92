"""`seedlab run`: hands the overrides to Hydra."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seedlab.commands.study.rate_page import FLAG, check_place, write_page
from seedlab.commands.verbs.verb import CommandVerb
from seedlab.config.study_name import UNNAMED
from seedlab.errors import SeedlabError


def run(overrides: Sequence[str], *, trust: bool = False, rates: Path | None = None) -> int:
    """Train the runs that the overrides ask for.

    Parameters
    ----------
    overrides : sequence of str
        Flags and overrides, as Hydra's command line takes them.
    trust : bool
        Files from outside the installation may set everything, code to be run included.
    rates : path, optional
        The page of a dry run's learning rates.

    Raises
    ------
    SeedlabError
        A refusal, of seedlab or of Hydra.
    """
    if {"--help", "-h"} & set(overrides):
        from seedlab.application.run_help import help_text

        print(help_text())
        raise SystemExit(0)
    # By default Hydra shortens a traceback and exits by itself. With this it raises.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from seedlab.application import app
    from seedlab.application.collected_rates import collected_rates, labelled
    from seedlab.application.composition import Composition
    from seedlab.compat.hydra_private import checked_composition, without_error_line
    from seedlab.config.overrides import only_asks, plain_value, rewrite

    if not trust:
        _refuse_whole_configurations(overrides)
    before = sys.argv
    try:
        with _refusals():
            rewritten = rewrite(overrides)
            studies = Path(plain_value(rewritten, "studies_dir") or "studies")
            if rates is not None:
                _check_rates(rates, plain_value(rewritten, "dry"))
            sys.argv = ["seedlab run", *rewritten]
            checks = Composition(trust=trust, only_asks=only_asks(rewritten))
            quiet = without_error_line(SeedlabError, HydraException, OmegaConfBaseException)
            with (
                collected_rates() as schedules,
                _full_disk(studies),
                checks,
                _refusals(),  # The checks remove what a refusal leaves, Hydra's included.
                checked_composition(checks),
                quiet,
            ):
                app.main()
    finally:
        sys.argv = before
    if rates is not None:
        write_page(labelled(schedules), rates)
        print(f"learning rates in {rates}")
    return 0


def _check_rates(path: Path, dry: str | None) -> None:
    if dry is None or dry.lower() != "true":
        raise SeedlabError(f"{FLAG} {path} belongs to a dry run; add dry=true.")
    check_place(path)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn Hydra's and OmegaConf's refusals of a configuration into `SeedlabError`.

    Other errors of the two libraries are raised unchanged. Reading a key that does not exist, for
    instance, is an error in the program and not in the configuration.
    """
    from hydra.errors import HydraException, InstantiationException, OverrideParseException
    from omegaconf.errors import (
        GrammarParseError,
        InterpolationResolutionError,
        MissingMandatoryValue,
        ValidationError,
    )

    from seedlab.config.sweeps import unreadable

    try:
        yield
    except InstantiationException as error:
        # A launcher or sweeper could not be made; the cause says whether it refused.
        if isinstance(error.__cause__, SeedlabError):
            raise error.__cause__ from error
        raise
    except OverrideParseException as error:
        # Of hydra.sweeper.params: the command line's were read before.
        raise unreadable(error.override, error.message) from error
    except (
        HydraException,
        GrammarParseError,
        InterpolationResolutionError,
        MissingMandatoryValue,
        ValidationError,
    ) as error:
        # With a study's file no name is derived: the file has a task and a model of its own.
        line = _one_line(str(error))
        unnamed = "Missing mandatory value: study," in line
        raise SeedlabError(UNNAMED if unnamed else line) from error
    except Exception as error:
        if isinstance(error, SeedlabError) or not _was_raised_at_a_file(error):
            raise
        reason = "; ".join(line.strip() for line in str(error).splitlines())
        raise SeedlabError(
            f"a configuration file is not sound YAML in UTF-8 ({type(error).__name__}: {reason}). "
            "Correct the file, or name another one."
        ) from error


def _was_raised_at_a_file(error: Exception) -> bool:
    """Return whether a configuration file was read, which raises errors of any class."""
    readers = ("yaml.", "hydra._internal.core_plugins.file_config_source")
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith(readers) for frame in frames)


def _one_line(text: str) -> str:
    """Return a message of Hydra as one line: its list as a list, its search path left out."""
    lines = text.partition("Config search path")[0].split("\n")
    sentences: list[str] = []
    for line in (line.rstrip() for line in lines if line.strip()):
        if sentences and line.startswith((" ", "\t")):
            joint = " " if sentences[-1].endswith(":") else ", "
            sentences[-1] += joint + line.strip()
        else:
            sentences.append(line.strip())
    return " ".join(s if s.endswith((".", "?", "!")) else f"{s}." for s in sentences)


@contextmanager
def _full_disk(studies: Path) -> Iterator[None]:
    """Name the folder of studies when the disk is full: Hydra's own error does not."""
    from seedlab.store.atomic_files import FULL, disk_full

    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(studies, "writing the study's configuration", error) from error
        raise


def _refuse_whole_configurations(arguments: Sequence[str]) -> None:
    """Refuse flags of Hydra that replace seedlab's configuration, or read it from a pickle."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag in _REPLACING or (len(flag) > 2 and "--experimental-rerun".startswith(flag)):
            raise SeedlabError(
                f"{flag} replaces seedlab's own configuration with a file, which can run code; add a "
                "folder of configurations with --config-dir=FOLDER, or trust the file with --trust."
            )


_REPLACING = ("--config-path", "-cp", "--config-name", "-cn")


def _act(options: argparse.Namespace) -> int:
    words = [word for word in options.overrides if word != "--trust"]
    trust = len(words) < len(options.overrides)
    kept, rates = _without_rates(words)
    return run(kept, trust=trust, rates=rates)


def _without_rates(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the words without ``--rates FILE`` or ``--rates=FILE``, and the file."""
    kept: list[str] = []
    rates, rest = None, iter(words)
    for word in rest:
        flag, _, file = word.partition("=")
        if flag != FLAG:
            kept.append(word)
            continue
        file = file or next(rest, "")
        if not file or file.startswith("-"):
            raise SeedlabError(f"{FLAG} needs a file, for example {FLAG} rates.html.")
        rates = Path(file)
    return kept, rates


VERB = CommandVerb("train runs; Hydra overrides follow (-m sweeps)", _act, unparsed=True)
