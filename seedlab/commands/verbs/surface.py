"""`seedlab surface`: writes the loss on the plane through two runs' weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedlab.commands.verbs.verb import CommandVerb, add_study, add_trust


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_trust(parser)
    parser.add_argument("failed", metavar="FAILED", help="a run's id, or the beginning of it")
    parser.add_argument("successful", metavar="SUCCESSFUL", help="another run of the same task")
    parser.add_argument(
        "--grid", type=int, default=25, metavar="N", help="N x N points; default %(default)s"
    )
    parser.add_argument(
        "--low", type=float, default=-0.5, help="low end of both axes; default %(default)s"
    )
    parser.add_argument(
        "--high", type=float, default=1.5, help="high end of both axes; default %(default)s"
    )
    parser.add_argument("--examples", type=int, metavar="N", help="training examples; default: all")
    parser.add_argument(
        "--start",
        choices=("failed", "successful"),
        default="failed",
        help="the run whose start is the third point; default %(default)s",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="CSV or Parquet; default: in the study, surfaces/"
    )


def _surface(options: argparse.Namespace) -> int:
    from seedlab.reproduce.loss_surface import check_out, surface, write
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    runs = [study.find_run(text) for text in (options.failed, options.successful)]
    out = options.out or study.folder / "surfaces" / f"{runs[0]}-{runs[1]}.csv"
    check_out(out, "a surface")

    def progress(done: int, total: int) -> None:
        if done % options.grid == 0:
            print(f"{done} of {total} points", file=sys.stderr)

    table = surface(
        study,
        *runs,
        grid=options.grid,
        low=options.low,
        high=options.high,
        examples=options.examples,
        start=options.start,
        progress=progress,
        trust=options.trust,
    )
    write(table, out)
    for row in table[table["point"] != ""].itertuples():
        print(f"{row.point:<10} loss {row.loss:.4f} on {row.examples} training examples")
    print(f"{len(table)} points in {out}; `seedlab report` draws the surfaces in a study's folder")
    return 0


VERB = CommandVerb(
    "write the loss on the plane through two runs' weights", _surface, _add_arguments
)
