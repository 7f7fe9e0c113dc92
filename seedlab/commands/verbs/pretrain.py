"""`seedlab pretrain`: makes the embedded encoder again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedlab.commands.verbs.verb import CommandVerb


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from seedlab.commands.encoder.pretraining import PretrainOptions

    parser.add_argument("folder", type=Path, help="a new folder for the encoder")
    for name, value in vars(PretrainOptions()).items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=type(value), default=value, help=f"default: {value}")


def _pretrain(arguments: argparse.Namespace) -> int:
    from seedlab.commands.encoder.pretraining import PretrainOptions, pretrain

    options = PretrainOptions(
        **{name: getattr(arguments, name) for name in vars(PretrainOptions())}
    )
    pretrain(arguments.folder, options, command=" ".join(["seedlab", *sys.argv[1:]]))
    return 0


VERB = CommandVerb("make the embedded encoder again", _pretrain, _add_arguments)
