"""`CommandVerb`: one verb of the command line, its arguments and its action."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


@dataclass(frozen=True)
class CommandVerb:
    """One verb of `seedlab VERB ...`.

    A verb is a module of this folder whose `VERB` is one of these; `seedlab.commands.cli` lists
    the modules. Such a module imports torch, pandas and Hydra inside functions only, so that
    `seedlab --help` stays fast.

    Parameters
    ----------
    help : str
        One line for `seedlab --help`.
    act : callable
        Takes the parsed arguments and returns the exit code. It raises `SeedlabError` for a
        refusal.
    add_arguments : callable
        Adds the verb's arguments to its parser.
    unparsed : bool
        The words after the verb are another parser's: `act` gets them all as ``overrides``.
    """

    help: str
    act: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    unparsed: bool = False


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name one study."""
    parser.add_argument("study", metavar="STUDY", help="a study's name or its folder")
    add_studies(parser)


def add_studies(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of studies."""
    parser.add_argument(
        "--studies", default="studies", metavar="DIR", help="the folder that holds the studies"
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the flag that trusts a study's records, for verbs that train a run again."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code of the model's folder where the record says that it was run",
    )
