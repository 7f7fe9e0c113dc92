"""`seedlab barrier`: writes loss and score on the line between two runs' weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seedlab.commands.verbs.verb import CommandVerb, add_study, add_trust


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_trust(parser)
    parser.add_argument("first", metavar="RUN", help="a run's id, or the beginning of it")
    parser.add_argument("second", metavar="RUN", help="a run that differs in its seeds alone")
    parser.add_argument(
        "--points",
        type=int,
        default=11,
        metavar="N",
        help="points on the line, both ends among them; default %(default)s",
    )
    parser.add_argument("--examples", type=int, metavar="N", help="training examples; default: all")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="CSV or Parquet; default: in the study, barriers/"
    )


def _barrier(options: argparse.Namespace) -> int:
    from seedlab.reproduce.loss_barrier import barrier, height
    from seedlab.reproduce.loss_surface import check_out, write
    from seedlab.reproduce.one_setting import several_heads
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    runs = [study.find_run(text) for text in (options.first, options.second)]
    out = options.out or study.folder / "barriers" / f"{runs[0]}-{runs[1]}.csv"
    check_out(out, "a barrier")

    def progress(done: int, total: int) -> None:
        print(f"{done} of {total} points", file=sys.stderr)

    table = barrier(
        study,
        *runs,
        points=options.points,
        examples=options.examples,
        progress=progress,
        trust=options.trust,
    )
    write(table, out)
    metric = table["metric"].iloc[0]
    print(f"{'at':>5}  {'loss':>8}  {f'dev {metric}':>8}")
    width = max(8, len(metric) + 4)
    for row in table.itertuples():
        print(f"{row.at:5.2f}  {row.loss:8.4f}  {row.score:{width}.4f}  {row.point}".rstrip())
    print(
        f"barrier of the loss {height(table):.4f} (its maximum minus the mean of the ends), of dev "
        f"{metric} {height(table, 'score'):.4f}"
    )
    if several_heads([study.read(run).record for run in runs]):
        print("The runs have two init seeds, so their new heads began apart.")
    print(f"{len(table)} points in {out}; `seedlab report` draws the barriers in a study's folder")
    return 0


VERB = CommandVerb(
    "write loss and score on the line between two runs' weights", _barrier, _add_arguments
)
