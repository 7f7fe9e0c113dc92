"""The command line: `seedlab VERB ...`, the same as `python -m seedlab VERB ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from seedlab.commands.endings import end, wants_debug
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
    "surface",
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
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = wants_debug(words)
    if words[:1] == ["--debug"]:
        del words[0]
    try:
        with repeat_command.given(words):
            return _dispatch(words)
    except (Exception, KeyboardInterrupt) as error:
        return end(error, words, debug=debug)


def _dispatch(words: list[str]) -> int:
    if words and words[0] in VERBS and (verb := _verb(words[0])).unparsed:
        return verb.act(argparse.Namespace(overrides=words[1:]))
    options = _parser(words).parse_args(words)
    act = _verb(options.verb).act
    return act(options)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seedlab", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="print the traceback of a refusal, too (before the verb; or set SEEDLAB_DEBUG=1)",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name in VERBS:
        verb = _verb(name)
        made = verbs.add_parser(name, help=verb.help, description=verb.help)
        # Arguments may need imports that take time, so only this verb's are made.
        if name in words:
            verb.add_arguments(made)
    return parser


def _verb(name: str) -> CommandVerb:
    verb: CommandVerb = import_module(f"seedlab.commands.verbs.{name}").VERB
    return verb
