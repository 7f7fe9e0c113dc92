"""`seedlab report`: writes figures, tables and a page."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.commands.verbs.analysis_input import add_table, analysis_refusals, read_input
from seedlab.commands.verbs.verb import CommandVerb
from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    import pandas as pd


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="*", metavar="STUDY", help="names or folders of studies")
    add_table(parser)
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FILE",
        help="a row per validation example: its index in the column 'example', and 'cluster' (examples "
        "that belong together), 'text' or both",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace files that no report has written"
    )


def _report(options: argparse.Namespace) -> int:
    with analysis_refusals():
        from analysis.comparison.examples import read_examples
        from analysis.data.loss_surfaces import read_barrier, read_surface
        from analysis.report import useful_workers, write_report
        from analysis.report.earlier import check_folder

        if not options.overwrite:
            check_folder(options.out)  # before the studies are read
        study = read_input(options.study, options)
        if study is None:
            raise SeedlabError(
                "there is nothing to report on; name one study or more, or give --table FILE."
            )
        if options.examples:
            study = read_examples(options.examples, study)
        path = write_report(
            study,
            options.out,
            source=str(options.table) if options.table else ", ".join(map(str, options.study)),
            seed=options.seed,
            workers=useful_workers(study),
            surfaces=_tables(options, "surfaces", read_surface),
            barriers=_tables(options, "barriers", read_barrier),
            overwrite=options.overwrite,
        )
    print(f"report in {path}; figures, tables and summary.json beside it")
    return 0


def _tables(
    options: argparse.Namespace, folder: str, read: Callable[[Path], pd.DataFrame]
) -> list[pd.DataFrame]:
    """Return the tables in a folder of the studies, such as loss surfaces."""
    from seedlab.store.study import find_study

    folders = [find_study(name, options.studies).folder / folder for name in options.study]
    return [
        read(path)
        for place in folders
        for path in sorted(place.glob("*"))
        if path.suffix in (".csv", ".parquet")
    ]


VERB = CommandVerb("write figures, tables and a page", _report, _add_arguments)
