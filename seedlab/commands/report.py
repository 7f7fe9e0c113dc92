"""The verbs `report` and `plan`: what was asked for, handed to the package `analysis`.

With the early-stopping rules the only place where seedlab reaches `analysis`, through
exported tables. Drawing and counting are done there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.study import Study


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seedlab report``."""
    parser.add_argument("study", nargs="*", metavar="STUDY", help="names or folders of studies")
    _add_table(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to")


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``seedlab plan``."""
    parser.add_argument(
        "--study",
        action="append",
        default=[],
        metavar="STUDY",
        help="a pilot study; may be repeated",
    )
    _add_table(parser)
    asked = parser.add_argument_group("questions")
    asked.add_argument("--width", type=float, help="width of an interval for the mean score")
    asked.add_argument("--effect", type=float, help="difference between two recipes to be found")
    asked.add_argument("--target", type=float, help="score that the best of n should reach")
    asked.add_argument("--budget", type=int, help="number of full trainings to be spent best")
    asked.add_argument("--sd", type=float, help="standard deviation of a run; default: the pilot's")
    asked.add_argument("--power", type=float, default=0.8, help="for --effect; default %(default)s")
    asked.add_argument(
        "--level", type=float, default=0.95, help="of intervals; default %(default)s"
    )
    asked.add_argument(
        "--chance", type=float, default=0.95, help="of reaching the target; default %(default)s"
    )
    asked.add_argument(
        "--paired",
        action="store_true",
        help="both recipes with the same seeds; --sd of differences",
    )


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--studies", default="studies", metavar="DIR", help="where studies lie")
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="scores from elsewhere: CSV, JSON lines, Parquet"
    )
    parser.add_argument("--metric", metavar="NAME", help="of the table's scores")
    parser.add_argument("--lower-is-better", action="store_true", help="for the table's metric")
    parser.add_argument(
        "--majority",
        type=float,
        metavar="VALUE",
        help="the majority classifier's score in the table",
    )
    parser.add_argument(
        "--score",
        choices=("best", "final"),
        default="best",
        help="which score of a study's runs is analysed; default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of shuffles; default %(default)s")


def report(options: argparse.Namespace) -> int:
    """Write a report on studies or on a table.

    Raises
    ------
    SeedlabError
        Neither or both were given, or the input is refused.
    """
    with _refusals():
        from analysis.report import useful_workers, write_report

        study = _study(options.study, options)
        if study is None:
            raise SeedlabError(
                "there is nothing to report on; name one study or more, or give --table FILE."
            )
        source = str(options.table) if options.table else ", ".join(map(str, options.study))
        workers = useful_workers(study)
        path = write_report(
            study,
            options.out,
            source=source,
            seed=options.seed,
            workers=workers,
            surfaces=_surfaces(options.study, options.studies),
        )
    sys.stdout.write(f"report in {path}; figures, tables and summary.json beside it\n")
    return 0


def plan(options: argparse.Namespace) -> int:
    """Print the answers to the planning questions, a line each.

    Raises
    ------
    SeedlabError
        Nothing was asked, or the input is refused.
    """
    with _refusals():
        from analysis.report import Questions, plan_answers

        names = ("width", "effect", "target", "budget", "sd", "power", "level", "chance", "paired")
        questions = Questions(**{name: getattr(options, name) for name in names})
        study = _study(options.study, options)
        for line in plan_answers(questions, study, seed=options.seed):
            sys.stdout.write(f"{line[0].upper()}{line[1:]}\n")
    return 0


def _study(names: list[str], options: argparse.Namespace) -> Study | None:
    from analysis.data.exported import read_study
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
    tables = [_export(name, options.studies) for name in names]
    return concat_studies([read_study(folder, score=options.score) for folder in tables])


def _surfaces(names: list[str], studies: str) -> list[pd.DataFrame]:
    """Return the loss surfaces that lie in the studies' folders."""
    from analysis.data.loss_surfaces import read_surface
    from seedlab.store.study import find_study

    folders = [find_study(name, studies).folder / "surfaces" for name in names]
    return [
        read_surface(path)
        for folder in folders
        for path in sorted(folder.glob("*"))
        if path.suffix in (".csv", ".parquet")
    ]


def _export(name: str, studies: str) -> Path:
    from seedlab.store.study import find_study
    from seedlab.store.tables.export import export

    study = find_study(name, studies)
    # Whoever exported CSV files keeps them; else the format that is read fastest.
    csv = (study.folder / "tables" / "runs.csv").is_file()
    return export(study, format="csv" if csv else "parquet")


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the refusals of `analysis`, which are ValueErrors, into those of seedlab."""
    try:
        yield
    except SeedlabError:
        raise
    except ValueError as error:
        raise SeedlabError(str(error)) from error
