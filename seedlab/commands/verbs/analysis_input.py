"""The input of `seedlab report` and `seedlab plan`: studies or a table, read by `analysis`.

Besides the decision rules of early stopping and search, this is where seedlab calls `analysis`.
The package reads exported tables, and all estimates and figures are made there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.commands.verbs.verb import add_studies
from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    from analysis.data.study import Score, Study


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a table and choose its scores or those of studies."""
    add_studies(parser)
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="scores from elsewhere: CSV, JSON lines, Parquet"
    )
    parser.add_argument("--metric", metavar="NAME", help="metric of the table's scores")
    parser.add_argument(
        "--lower-is-better", action="store_true", help="for the metric of the table"
    )
    parser.add_argument(
        "--majority",
        type=float,
        metavar="VALUE",
        help="the majority classifier's score in the table",
    )
    parser.add_argument(
        "--score",
        choices=("best", "final", "test"),
        default="best",
        help="score that is analysed: a run's best evaluation, its last one, or that on the test "
        "set; default %(default)s",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all resampling; default %(default)s"
    )


def read_input(names: list[str], options: argparse.Namespace) -> Study | None:
    """Return the runs of the studies or of the table; None where neither was named.

    Parameters
    ----------
    names : list of str
        Names or folders of studies. Their tables are exported first, into the study where it
        can be written to.
    options : argparse.Namespace
        The values of `add_table`'s options.

    Raises
    ------
    SeedlabError
        Studies and a table were both given, or an option of the table goes with studies.
    """
    from analysis.data.score_table import read_table
    from analysis.data.study import concat_studies

    if names and options.table:
        raise SeedlabError(
            "studies and --table were both given; allowed: one of them. Export the studies and put "
            "the tables together, or write two reports."
        )
    if options.table:
        return read_table(
            options.table,
            metric=options.metric,
            higher_is_better=not options.lower_is_better,
            majority=options.majority,
            score=options.score,
        )
    if not names:
        return None
    for given, flag in (
        (options.metric, "--metric"),
        (options.lower_is_better, "--lower-is-better"),
        (options.majority, "--majority"),
    ):
        # Not by equality: a majority value of 0 equals False.
        if given is not None and given is not False:
            raise SeedlabError(
                f"{flag} belongs to --table; a study records its metric, direction and majority "
                "value. Leave it out."
            )
    return concat_studies([_read(name, options.studies, options.score) for name in names])


def _read(name: str, studies: str, score: Score) -> Study:
    from analysis.data.exported import read_study
    from seedlab.store.study import find_study
    from seedlab.store.tables.export import export
    from seedlab.store.writable import can_write

    study = find_study(name, studies)
    tables = study.folder / "tables"
    if study.recorded() and not can_write(tables):
        with tempfile.TemporaryDirectory(prefix="seedlab-tables-") as elsewhere:
            return read_study(export(study, elsewhere, "parquet"), score=score)
    # CSV files that are there are brought up to date. Parquet is read faster.
    csv = (tables / "runs.csv").is_file()
    return read_study(export(study, format="csv" if csv else "parquet"), score=score)


@contextmanager
def analysis_refusals() -> Iterator[None]:
    """Turn the refusals of `analysis` into `SeedlabError`; other errors are raised unchanged."""
    from analysis.errors import AnalysisError

    try:
        yield
    except AnalysisError as error:
        raise SeedlabError(str(error)) from error
