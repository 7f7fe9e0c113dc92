"""`seedlab export`: writes a study's tidy tables."""

from __future__ import annotations

import argparse

from seedlab.commands.verbs.verb import CommandVerb, add_study


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="folder to write to; default: tables/ in the study"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace tables that no export has written"
    )
    parser.add_argument(
        "--format", choices=("csv", "parquet"), default="csv", help="default: %(default)s"
    )


def _export(options: argparse.Namespace) -> int:
    from seedlab.store.study import find_study
    from seedlab.store.tables.export import export

    study = find_study(options.study, options.studies)
    folder = export(study, options.out, options.format, overwrite=options.overwrite)
    print(f"tables in {folder}")
    return 0


VERB = CommandVerb("write a study's tidy tables", _export, _add_arguments)
