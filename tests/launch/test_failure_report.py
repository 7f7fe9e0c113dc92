"""The report of failed jobs: refusals in one line, tracebacks of everything else."""

from __future__ import annotations

import traceback

import pytest

from seedlab.errors import RunFailedError, SeedlabError, WorkerDiedError
from seedlab.launch.failure_report import failure_report
from seedlab.launch.jobs.work import Job


def job(number: int) -> Job:
    return Job(number, number, (f"seed.init={number}",), f"run{number}", 0)


def raised(error: Exception) -> Exception:
    """The error as a worker sends it: without a traceback of its own, with one in its notes."""
    try:
        raise error
    except Exception as caught:
        caught.add_note("".join(traceback.format_exception(caught)).rstrip())
        return caught.with_traceback(None)


@pytest.mark.parametrize(
    "error", [SeedlabError("no such task; use rte."), WorkerDiedError("given up after 2 tries")]
)
def test_a_refusal_is_one_line_and_nothing_to_report(error: Exception) -> None:
    assert failure_report([(job(3), raised(error))]).splitlines() == [
        "1 run failed:",
        "  #3 seed.init=3",
        f"    {error}",
    ]


@pytest.mark.parametrize("error", [IndexError("index 7 is out of range"), RunFailedError("worse")])
def test_an_unexpected_error_shows_its_traceback_once_and_how_to_report_it(
    error: Exception,
) -> None:
    sent = raised(error)
    text = failure_report([(job(0), sent), (job(1), sent)])
    assert text.startswith("2 runs failed:\n  #0 seed.init=0\n  #1 seed.init=1\n")
    assert text.count("Traceback (most recent call last)") == 1
    assert f"{type(error).__name__}: {error}" in text
    assert text.splitlines()[-1].startswith("An error with a traceback is unexpected. Open an")


def test_many_jobs_that_fail_alike_are_counted() -> None:
    text = failure_report([(job(n), SeedlabError("full")) for n in range(10)])
    assert "  #7 seed.init=7\n  ... and 2 more in the same way\n    full" in text
