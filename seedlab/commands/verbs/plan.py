"""`seedlab plan`: computes the number of seeds that a question needs."""

from __future__ import annotations

import argparse

from seedlab.commands.verbs.analysis_input import add_table, analysis_refusals, read_input
from seedlab.commands.verbs.verb import CommandVerb


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--study",
        action="append",
        default=[],
        metavar="STUDY",
        help="a pilot study; may be repeated",
    )
    add_table(parser)
    asked = parser.add_argument_group("questions")
    asked.add_argument("--width", type=float, help="width of an interval for the mean score")
    asked.add_argument("--effect", type=float, help="difference between two recipes to be found")
    asked.add_argument("--target", type=float, help="score that the best of n should reach")
    asked.add_argument("--budget", type=int, help="number of full trainings to be spent best")
    asked.add_argument("--sd", type=float, help="standard deviation of a run; default: the pilot's")
    asked.add_argument(
        "--power",
        type=float,
        default=0.8,
        help="power of the test for --effect; default %(default)s",
    )
    asked.add_argument(
        "--level", type=float, default=0.95, help="level of intervals; default %(default)s"
    )
    asked.add_argument(
        "--chance",
        type=float,
        default=0.95,
        help="chance of reaching the target; default %(default)s",
    )
    asked.add_argument(
        "--paired",
        action="store_true",
        help="both recipes have the same seeds; --sd is that of differences",
    )


def _plan(options: argparse.Namespace) -> int:
    with analysis_refusals():
        from analysis.report import Questions, plan_answers

        names = ("width", "effect", "target", "budget", "sd", "power", "level", "chance", "paired")
        questions = Questions(**{name: getattr(options, name) for name in names})
        study = read_input(options.study, options)
        for line in plan_answers(questions, study, seed=options.seed):
            print(f"{line[0].upper()}{line[1:]}")
    return 0


VERB = CommandVerb("compute the number of seeds that a question needs", _plan, _add_arguments)
