"""`seedlab save`: writes a run's model as a `save_pretrained` folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from seedlab.commands.verbs.verb import CommandVerb, add_study, add_trust


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_trust(parser)
    parser.add_argument(
        "run",
        metavar="RUN|best|median",
        help="a run's id or the beginning of it; best: by the best score after step 0; median: by "
        "the final score. The model has the weights that the run keeps (evaluation.keep)",
    )
    parser.add_argument("out", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a model that seedlab saved in DIR"
    )


def _save(options: argparse.Namespace) -> int:
    from seedlab.reproduce.retrain import save
    from seedlab.store.study import find_study

    run = save(
        find_study(options.study, options.studies),
        options.run,
        options.out,
        overwrite=options.overwrite,
        trust=options.trust,
    )
    record, best, kept = run.record, "", "final weights"
    if run.chosen_step not in (None, record.steps):
        best = f", best {run.chosen_score:.4f} at step {run.chosen_step} of {record.steps}"
    if record.kept_step is not None:
        kept = "weights of its best evaluation"
    print(
        f"run {record.run_id} (final {record.metric} {record.final_score:.4f}{best}) in "
        f"{options.out}, {kept}, bitwise equal to its record"
    )
    return 0


VERB = CommandVerb("write a run's model as a save_pretrained folder", _save, _add_arguments)
