"""`DeferredDecision`: a decision that waits for runs which an infrastructure failure stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from seedlab.errors import RunFailedError, SeedlabError, is_out_of_memory
from seedlab.spec.run import RunSpec
from seedlab.store.record import Record


@dataclass(frozen=True)
class DeferredDecision:
    """A decision that is deferred.

    Parameters
    ----------
    step : int
        Step of the comparison.
    missing : tuple of RunSpec
        Runs that could not be trained.
    among : int
        Number of runs to compare.
    first : RunSpec
        A run whose failure deferred the decision.
    cause : str
        Error of that run.
    """

    step: int
    missing: tuple[RunSpec, ...]
    among: int
    first: RunSpec
    cause: str

    def text(self, study: str) -> str:
        """Return the decision, the cause of the deferral and the remedy in one line."""
        seeds = self.first.seeds
        return (
            f"early stopping: the comparison at step {self.step} of study '{study}' is deferred, "
            f"because {len(self.missing)} of {self.among} runs could not be trained (init "
            f"{seeds.init} order {seeds.order}: {self.cause}). Nothing is decided; remedy the cause, "
            "and the same command continues."
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
    """Return the deferral of a decision; None where the decision can be made.

    A decision is final, and missing runs rank last in it. So it is deferred when a run is missing
    because of an infrastructure failure (`is_infrastructure_failure`): these do not eliminate a run. It
    is deferred, too, when all runs are missing, because then nothing is known of any.

    Parameters
    ----------
    step : int
    alive : sequence of RunSpec
        Runs to compare.
    records : mapping of run id to Record
    failed : collection of run ids
        Runs that could not be trained; a mapping to their errors, where they are known. A run
        without a known error counts as failed by itself.
    """
    missing = [run for run in missing_at(step, alive, records) if run.run_id in failed]
    errors = failed if isinstance(failed, Mapping) else {}
    excused = [
        r for r in missing if r.run_id in errors and is_infrastructure_failure(errors[r.run_id])
    ]
    if not missing or not (excused or len(missing) == len(alive)):
        return None
    first = (excused or missing)[0]
    cause = _error_text(errors.get(first.run_id))
    return DeferredDecision(step, tuple(missing), len(alive), first, cause)


def is_infrastructure_failure(error: BaseException) -> bool:
    """Return whether a failure comes from the infrastructure and not from the run.

    These are failures of disks and memory, dead workers, and all refusals. Compared runs differ in
    their seeds alone, so a refusal (no space left, changed data) is never the fault of one run.
    """
    if isinstance(error, SeedlabError):
        return not isinstance(error, RunFailedError)
    return isinstance(error, OSError) or is_out_of_memory(error)


def _error_text(error: BaseException | None) -> str:
    if error is None:
        return "failed"
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, SeedlabError):
        return text.rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
