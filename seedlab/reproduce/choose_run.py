"""The choice of a run: `best`, `median` or a run id."""

from __future__ import annotations

from seedlab.errors import SeedlabError
from seedlab.store.study import StudyFolder


def choose(study: StudyFolder, which: str) -> str:
    """Return the id of the chosen run.

    Parameters
    ----------
    study : StudyFolder
    which : str
        ``best``, ``median`` (the lower of two middle ones), a run id or the beginning of one. Runs
        are ranked by their final score, because the final weights are saved.

    Raises
    ------
    SeedlabError
        When there is no such run, or the runs have several tasks or metrics.
    """
    if which not in ("best", "median"):
        return study.find_run(which)
    records = [record for record in study.records().values() if record.is_over]
    if not records:
        raise SeedlabError(f"study '{study.name}' has no finished run yet; train one first.")
    kinds = sorted({f"{record.task} ({record.metric})" for record in records})
    if len(kinds) > 1:
        raise SeedlabError(
            f"study '{study.name}' has runs of several tasks ({', '.join(kinds)}), whose scores "
            f"can't be ranked together; name the run instead of '{which}'."
        )
    sign = 1.0 if records[0].direction == "max" else -1.0
    ranked = sorted(records, key=lambda r: (sign * r.final_score, r.run_id))
    return ranked[-1 if which == "best" else (len(ranked) - 1) // 2].run_id
