"""The choice of runs: `best`, `median`, `best:N` or run ids."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seedlab.errors import SeedlabError
from seedlab.store.chosen import ScoredRun, scored_runs
from seedlab.store.record import Record
from seedlab.store.study import StudyFolder

BEST = "best:"
"""Beginning of the words that choose several runs."""

# Entries of a task's specification that leave the scored examples as they are. Files may have
# moved; their content shows in the number of examples and in the majority value.
_NOT_SCORED = {
    *("name", "metric", "path", "train_file", "dev_file", "test_file"),
    *("train_size", "max_length"),
}


def choose(study: StudyFolder, which: str, score: str = "best") -> str:
    """Return the id of the chosen run.

    Parameters
    ----------
    study : StudyFolder
    which : str
        ``best``, ``median`` (by final score, the lower of two middle ones), a run id or the
        beginning of one.
    score : {"best", "final"}
        Score of which the best run has the best (`ScoredRun.reported`): the best evaluation after
        step 0, or the last one. Of equal runs the one with the better final score is chosen.

    Raises
    ------
    SeedlabError
        When there is no such run, or the runs have several tasks, metrics or validation sets.
    """
    if which not in ("best", "median"):
        return study.find_run(which)
    ranked = _ranked(study, score if which == "best" else "final", which)
    return ranked[-1 if which == "best" else (len(ranked) - 1) // 2].record.run_id


def choose_several(study: StudyFolder, which: Sequence[str]) -> list[str]:
    """Return the ids of the chosen runs.

    Parameters
    ----------
    study : StudyFolder
    which : sequence of str
        Run ids or beginnings of them; or ``best:N`` alone: the N finished runs with the best
        chosen scores (`seedlab.store.chosen`), the best one first.

    Raises
    ------
    SeedlabError
        See `choose`; also when N is no whole number above 0, or more than there are runs.
    """
    if not any(text.startswith(BEST) for text in which):
        return [study.find_run(text) for text in which]
    if len(which) > 1:
        raise SeedlabError(f"the runs are {' '.join(which)}; give {BEST}N alone, or run ids alone.")
    number = which[0].removeprefix(BEST)
    if not (number.isdecimal() and int(number) > 0):
        raise SeedlabError(
            f"'{which[0]}' names no number of runs; allowed: {BEST}N, as in {BEST}5."
        )
    ranked = [run for run in _ranked(study, "best", which[0]) if run.record.status == "finished"]
    if int(number) > len(ranked):
        raise SeedlabError(
            f"'{which[0]}' asks for {number} runs, and study '{study.name}' has {len(ranked)} finished "
            "ones; ask for fewer, or train more."
        )
    return [run.record.run_id for run in ranked[::-1][: int(number)]]


def _ranked(study: StudyFolder, score: str, which: str) -> list[ScoredRun]:
    """Return the runs that are over, the best one by a score last; `which` is what the user asked."""
    runs = [run for run in scored_runs(study) if run.record.is_over]
    if not runs:
        raise SeedlabError(f"study '{study.name}' has no finished run yet; train one first.")
    records = [run.record for run in runs]
    kinds = sorted({f"{record.task} ({record.metric})" for record in records})
    if len(kinds) > 1:
        raise SeedlabError(
            f"study '{study.name}' has runs of several tasks ({', '.join(kinds)}), whose scores "
            f"can't be ranked together; name the run instead of '{which}'."
        )
    sets = {_scored_set(record): record for record in records}
    if len(sets) > 1:
        named = sorted(f"{r.n_examples} examples, majority {r.majority:.3f}" for r in sets.values())
        raise SeedlabError(
            f"study '{study.name}' has runs with several validation sets ({'; '.join(named)}), whose "
            f"scores can't be ranked together; name the run instead of '{which}'. `seedlab status {study.name} "
            "--grid best` shows a table for each."
        )
    sign = 1.0 if records[0].direction == "max" else -1.0
    return sorted(
        runs,
        key=lambda r: (sign * r.reported(score), sign * r.record.final_score, r.record.run_id),
    )


def _scored_set(record: Record) -> str:
    """Return a text that is the same for records whose scores are of the same examples."""
    task = {k: v for k, v in vars(record.run_spec().task).items() if k not in _NOT_SCORED}
    return json.dumps([record.split, record.n_examples, record.majority, task], sort_keys=True)
