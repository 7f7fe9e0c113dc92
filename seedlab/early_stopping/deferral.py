"""`DeferredDecision`: a comparison that is put off, because runs are missing that did not lose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from seedlab.errors import RunFailedError, SeedlabError, is_out_of_memory
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record


@dataclass(frozen=True)
class DeferredDecision:
    """A comparison that is put off.

    Parameters
    ----------
    step : int
        Where the runs would be compared.
    missing : tuple of RunSpec
        Those that could not be trained.
    among : int
        How many were to be compared.
    first : RunSpec
        The one whose failure put it off.
    cause : str
        What happened to it.
    """

    step: int
    missing: tuple[RunSpec, ...]
    among: int
    first: RunSpec
    cause: str

    def words(self, study: str) -> str:
        """Return what is put off, why, and what to do, in one line."""
        seeds = self.first.seeds
        return (
            f"early stopping: the comparison at step {self.step} of study '{study}' is put off, "
            f"because {len(self.missing)} of {self.among} runs could not be trained (init "
            f"{seeds.init} order {seeds.order}: {self.cause}). Nothing is decided; remedy the cause, "
            "and the same command goes on."
        )


def missing_at(step: int, alive: Sequence[RunSpec], records: Mapping[str, Record]) -> list[RunSpec]:
    """Return the runs that are not on record up to a step."""
    return [
        run
        for run in alive
        if run.run_id not in records or not records[run.run_id].has_reached(step)
    ]


def deferred_decision(
    step: int, alive: Sequence[RunSpec], records: Mapping[str, Record], failed: Collection[str]
) -> DeferredDecision | None:
    """Return why the comparison of runs that are there or failed is put off; None where it is not.

    A decision is for good. Runs that are missing at it lose, so it is not made when one is missing
    for a passing reason (`is_passing`), nor when all are, which tells nothing about any of them.

    Parameters
    ----------
    step : int
    alive : sequence of RunSpec
        Those that are compared.
    records : mapping of run id to Record
    failed : collection of run ids
        Runs that could not be trained; a mapping to their errors, where they are known. Without
        its error a run failed by itself.
    """
    missing = [run for run in missing_at(step, alive, records) if run.run_id in failed]
    errors = failed if isinstance(failed, Mapping) else {}
    passing = [r for r in missing if r.run_id in errors and is_passing(errors[r.run_id])]
    if not missing or not (passing or len(missing) == len(alive)):
        return None
    first = (passing or missing)[0]
    cause = _said(errors.get(first.run_id))
    return DeferredDecision(step, tuple(missing), len(alive), first, cause)


def is_passing(error: BaseException) -> bool:
    """Return whether a failure says nothing about the run: trained again, it may well succeed.

    Disks, memory and workers that died, and every refusal: runs that are compared differ in
    their seeds alone, so what is refused (no space left, data that changed) is not one of them.
    """
    if isinstance(error, SeedlabError):
        return not isinstance(error, RunFailedError)
    return isinstance(error, OSError) or is_out_of_memory(error)


def _said(error: BaseException | None) -> str:
    if error is None:
        return "failed"
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, SeedlabError):
        return text.rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
