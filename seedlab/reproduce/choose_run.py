"""Which run of a study `best`, `median` or a run id means."""

from __future__ import annotations

from seedlab.errors import SeedlabError
from seedlab.store.study import StudyFolder


def choose(study: StudyFolder, which: str) -> str:
    """Return the run that `which` means.

    Parameters
    ----------
    study : StudyFolder
    which : str
        ``best`` or ``median`` by final score, since a run's final weights are what is saved (the
        lower of two middle ones), or a run id or its beginning.

    Raises
    ------
    SeedlabError
        When there is no such run, or runs of several tasks or metrics compete.
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
