"""`seedlab verify`: trains a run again and compares it with its record."""

from __future__ import annotations

import argparse

from seedlab.commands.verbs.verb import CommandVerb, add_study, add_trust


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_trust(parser)
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of it")


def _verify(options: argparse.Namespace) -> int:
    from seedlab.reproduce.compare import compare, explain
    from seedlab.reproduce.retrain import repeat
    from seedlab.store.study import find_study

    study = find_study(options.study, options.studies)
    stored = study.read(study.find_run(options.run))
    verification = compare(stored, repeat(stored, trust=options.trust))
    print(explain(stored.record, verification))
    return 0 if verification.equal else 1


VERB = CommandVerb("train a run again and compare it bit for bit", _verify, _add_arguments)
