"""`seedlab status`: prints the progress of a study."""

from __future__ import annotations

import argparse

from seedlab.commands.verbs.verb import CommandVerb, add_study


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    parser.add_argument(
        "--grid", choices=("best", "final"), help="print the init x order table of these scores"
    )


def _status(options: argparse.Namespace) -> int:
    from seedlab.commands.study.score_table import score_grid
    from seedlab.commands.study.status import format_status, status
    from seedlab.store.chosen import scored_runs
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    print("\n".join(format_status(status(study))))
    if options.grid:
        print(f"\n{score_grid(scored_runs(study), options.grid)}")
    return 0


VERB = CommandVerb("print the progress of a study", _status, _add_arguments)
