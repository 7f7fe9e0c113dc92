"""`seedlab demo`: trains the demonstration grid and lists the next commands."""

from __future__ import annotations

import argparse
import shlex

from seedlab.commands.verbs.run import run
from seedlab.commands.verbs.verb import CommandVerb


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for `seedlab run`")
    parser.add_argument(
        "--trust", action="store_true", help="trust configuration files from outside seedlab"
    )


def _demo(options: argparse.Namespace) -> int:
    from seedlab.commands.study.score_table import score_grid
    from seedlab.launch.repeat_command import program
    from seedlab.store.chosen import scored_runs
    from seedlab.store.study import find_study

    arguments = ["-m", "experiment=demo", *options.overrides]
    code = run(arguments, trust=options.trust)
    given = dict(line.partition("=")[::2] for line in options.overrides)
    if given.get("dry", "").lower() == "true":
        return code
    name, root = given.get("study", "demo"), given.get("studies_dir", "studies")
    study = find_study(name, root)
    shown = name if root == "studies" else str(study.folder)
    again = shlex.join(arguments)
    runs = list(scored_runs(study))
    more = max((run.record.seeds["init"] for run in runs), default=0) + 4
    print(f"\n{score_grid(runs)}")
    print(f"\nThe study is in {study.folder}. Next:")
    # Whoever has no `seedlab` on the path can paste these lines as well.
    called = shlex.join(program())
    lines = (
        (f"status {shown} --grid final", "scores and times, the table of final scores"),
        (f"report {shown} --out report", "figures, tables, report/report.html"),
        (f"export {shown}", "tidy tables (CSV)"),
        (f"run {again} 'seed.init=range(0,{more})'", "three more init seeds"),
        (f"save {shown} best model/", "the best run's model, for transformers"),
    )
    width = max(len(words) for words, _ in lines)
    for words, purpose in lines:
        print(f"  {called} {words:<{width}}  {purpose}")
    return code


VERB = CommandVerb("train a 5 x 5 grid on the embedded task", _demo, _add_arguments)
