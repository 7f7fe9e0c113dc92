"""`seedlab soup`: averages the weights of several runs, and scores the average."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seedlab.commands.verbs.verb import CommandVerb, add_study, add_trust
from seedlab.errors import SeedlabError

if TYPE_CHECKING:
    from seedlab.reproduce.soup import Soup


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser)
    add_trust(parser)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN|best:N",
        help="two runs or more that differ in their seeds alone, ids or beginnings of them; best:N: "
        "the N runs with the best scores after step 0",
    )
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="from the best run on, add a run only where the average's dev score does not fall",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="save the average: a new or empty folder"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a model that seedlab saved in DIR"
    )


def _soup(options: argparse.Namespace) -> int:
    from seedlab.reproduce.choose_run import BEST, choose_several
    from seedlab.reproduce.soup import soup
    from seedlab.store.study import find_study

    if options.overwrite and options.out is None:
        raise SeedlabError("--overwrite replaces a saved model; name its folder with --out DIR.")
    study = find_study(options.study, options.studies)
    runs = choose_several(study, options.runs)

    def progress(done: int, total: int, run_id: str) -> None:
        print(f"{done} of {total} runs trained again ({run_id})", file=sys.stderr)

    found = soup(
        study,
        runs,
        out=options.out,
        greedy=options.greedy,
        overwrite=options.overwrite,
        progress=progress,
        trust=options.trust,
    )
    print("\n".join([*_table(found), *_notes(found, chosen=options.runs[0].startswith(BEST))]))
    if options.out is not None:
        print(f"the average is saved in {options.out}")
    return 0


def _table(found: Soup) -> list[str]:
    """Return the lines of a table: a row per run, their mean, and the average."""
    metric, splits = found.members[0].metric, list(found.scores)
    count = sum(found.averaged)
    rows = [["run", "init", "order", *(f"{split} {metric}" for split in splits)]]
    for record, scores, inside in zip(
        found.members, found.member_scores, found.averaged, strict=True
    ):
        seeds = [str(record.seeds.get(name, "")) for name in ("init", "order")]
        rows.append(
            [
                record.run_id + ("" if inside else " (left out)"),
                *seeds,
                *(f"{scores[split][metric]:.4f}" for split in splits),
            ]
        )
    rows.append(
        [f"mean of {count} runs", "", "", *(f"{found.mean(s, metric):.4f}" for s in splits)]
    )
    rows.append(
        [f"average of {count} runs' weights", "", ""]
        + [f"{found.scores[split][metric]:.4f}" for split in splits]
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _notes(found: Soup, *, chosen: bool) -> list[str]:
    """Return sentences that a reader of the table needs."""
    from seedlab.reproduce.one_setting import several_heads

    notes = []
    if several_heads(found.members):
        notes.append(
            "The runs have several init seeds, so their new heads began apart: the average of such "
            "weights is usually poor."
        )
    if chosen:
        notes.append(
            "The runs were chosen by their dev scores, so dev scores are too high here; "
            + (
                "this task has no other scored split."
                if set(found.scores) == {"dev"}
                else "the other splits were not chosen on."
            )
        )
    if not all(found.averaged):
        notes.append(
            "Runs were left out by the average's own dev score, so that score is too high, too."
        )
    return notes


VERB = CommandVerb(
    "average the weights of several runs, and score the average", _soup, _add_arguments
)
