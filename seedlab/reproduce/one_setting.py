"""Whether the weights of runs can be put together: refusals of other data, models or settings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from seedlab.errors import SeedlabError
from seedlab.fields import flat
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record
from seedlab.store.tables.setting_names import differences

_SHOWN = 3
"""Most differences that a refusal names."""


def check_distinct(run_ids: Sequence[str], needs: str) -> None:
    """Refuse a run that was named twice.

    Parameters
    ----------
    run_ids : sequence of str
    needs : str
        The end of the message, such as ``a plane needs the ends of two runs``.
    """
    for run_id in run_ids:
        if run_ids.count(run_id) > 1:
            raise SeedlabError(f"run {run_id} was named twice; {needs}.")


def check_inputs(runs: Sequence[RunSpec], needs: str) -> None:
    """Refuse runs of several tasks or pre-trained models; `needs` ends the message."""
    for a, b in pairwise(runs):
        for part, one, other in (
            ("data", a.data_hash, b.data_hash),
            ("pre-trained weights", a.weights_hash, b.weights_hash),
        ):
            if one != other:
                raise SeedlabError(
                    f"runs {a.run_id} and {b.run_id} have different {part} ({one} and {other}); "
                    f"{needs}."
                )


def check_setting(runs: Sequence[RunSpec], needs: str) -> None:
    """Refuse runs that differ in more than their seeds; `needs` ends the message."""
    for a, b in pairwise(runs):
        if a.setting == b.setting:
            continue
        texts = differences({run.setting: flat(run.to_dict()) for run in (a, b)})
        found = [
            f"{one} and {other.partition('=')[2]}"
            for one, other in zip(texts[a.setting], texts[b.setting], strict=True)
        ]
        more = len(found) - _SHOWN
        named = "; ".join(found[:_SHOWN]) + (f"; {more} more" if more > 0 else "")
        raise SeedlabError(f"runs {a.run_id} and {b.run_id} differ in {named}: {needs}.")


def check_finished(records: Sequence[Record], needs: str) -> None:
    """Refuse runs that diverged or were stopped; `needs` ends the message."""
    for record in records:
        if record.status != "finished":
            end = "diverged" if record.is_over else "was stopped before its end"
            raise SeedlabError(f"run {record.run_id} {end}; {needs}.")


def several_heads(records: Sequence[Record]) -> bool:
    """Whether runs began with different new parameters, which their init seeds draw."""
    return len({record.seeds.get("init") for record in records}) > 1
