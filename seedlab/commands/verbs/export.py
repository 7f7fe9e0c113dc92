"""`seedlab export`: writes a study's tidy tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.commands.verbs.verb import CommandVerb, add_study

if TYPE_CHECKING:
    from seedlab.store.study import StudyFolder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="folder to write to; default: tables/ in the study"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace tables that no export has written"
    )
    parser.add_argument(
        "--examples",
        action="store_true",
        help="also write the texts of the scored examples to examples.csv; reads the task's data",
    )
    parser.add_argument(
        "--format", choices=("csv", "parquet"), default="csv", help="default: %(default)s"
    )


def _export(options: argparse.Namespace) -> int:
    from seedlab.store.study import find_study
    from seedlab.store.tables.export import export

    study = find_study(options.study, options.studies)
    texts = _examples(study, options) if options.examples else None
    folder = export(study, options.out, options.format, overwrite=options.overwrite)
    if texts is not None:
        from seedlab.commands.study.example_texts import write_examples

        write_examples(folder, texts)
    print(f"tables in {folder}")
    return 0


def _examples(study: StudyFolder, options: argparse.Namespace) -> bytes:
    from seedlab.commands.study.example_texts import example_texts, refuse_extended

    if not options.overwrite:
        refuse_extended(Path(options.out) if options.out else study.folder / "tables")
    return example_texts(study)


VERB = CommandVerb("write a study's tidy tables", _export, _add_arguments)
