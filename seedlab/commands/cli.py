"""The command line: `seedlab VERB ...`, the same as `python -m seedlab VERB ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from seedlab.commands.endings import DEBUG, end, wants_debug
from seedlab.commands.verbs.verb import CommandVerb
from seedlab.launch import repeat_command

VERBS = (
    "run",
    "demo",
    "status",
    "export",
    "verify",
    "save",
    "predict",
    "soup",
    "surface",
    "barrier",
    "report",
    "plan",
    "pretrain",
)
"""Verbs in the order of the help text; each is the `VERB` of a module in `commands/verbs`."""

_ABOUT = """\
seedlab trains grids of fine-tuning seeds and reports how scores vary with them.

  seedlab demo                                a 5 x 5 grid on the embedded task
  seedlab run -m task=rte model=bert-large-uncased \\
      'seed.init=range(0,25)' 'seed.order=range(0,25)'
  seedlab status STUDY                        (STUDY: a study's name or its folder)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        0; 1 for a failed run; 2 for a refusal; 70 for an error in seedlab; 130 after Ctrl-C.
    """
    command = list(sys.argv[1:] if arguments is None else arguments)
    debug = wants_debug(command)
    command = [argument for argument in command if argument != DEBUG]
    try:
        with repeat_command.given(command):
            return _dispatch(command)
    except (Exception, KeyboardInterrupt) as error:
        return end(error, command, debug=debug)


def _dispatch(command: list[str]) -> int:
    if command and command[0] in VERBS and (verb := _verb(command[0])).unparsed:
        return verb.act(argparse.Namespace(overrides=command[1:]))
    options, unknown = _parser(command).parse_known_args(command)
    if unknown:
        # The verb's own parser names the verb and its usage; argparse would name the program's.
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    act = _verb(options.verb).act
    return act(options)


def _parser(command: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seedlab", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        DEBUG,
        action="store_true",
        help="print the traceback of a refusal, too (or set SEEDLAB_DEBUG=1)",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name in VERBS:
        verb = _verb(name)
        made = verbs.add_parser(name, help=verb.help, description=verb.help)
        made.set_defaults(parser=made)
        # Arguments may need imports that take time, so only this verb's are made.
        if name in command:
            verb.add_arguments(made)
    return parser


def _verb(name: str) -> CommandVerb:
    verb: CommandVerb = import_module(f"seedlab.commands.verbs.{name}").VERB
    return verb
