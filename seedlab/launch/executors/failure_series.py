"""`FailureSeries`: failures in a row that are alike, after which a launch is given up.

A fault of the machine (a full disk, a library that crashes) fails every piece of work in the
same way. Without an end, workers would be replaced until every run has had its tries.
"""

from __future__ import annotations

import re

from seedlab.errors import SeedlabError

# What differs between failures of one kind: ids, addresses, numbers and file names.
_VARIABLE = re.compile(r"'[^']*'|\b[0-9a-f]{8,}\b|\b0x[0-9a-f]+\b|\d+")


class GivenUpError(SeedlabError):
    """A launch whose work failed alike several times in a row.

    Attributes
    ----------
    exit_code : int
        2 if refusals are the cause, 1 if workers died.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class FailureSeries:
    """Counts failures of work; any result ends the series.

    Parameters
    ----------
    limit : int or None
        Failures in a row after which the launch is given up; None: never.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._kind = ""
        self._length = 0

    def end(self) -> None:
        """Note a run that has a result: the machine works."""
        self._length = 0

    def add(self, cause: str, *, exit_code: int) -> None:
        """Note a failure.

        Parameters
        ----------
        cause : str
            The refusal, or the end of a worker and the lines that it wrote.
        exit_code : int
            Exit code of a launch that is given up for this cause.

        Raises
        ------
        GivenUpError
            When it is the last of the series.
        """
        lines = cause.strip().splitlines()
        told = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
        kind = _VARIABLE.sub("", told)
        self._length = self._length + 1 if kind == self._kind else 1
        self._kind = kind
        if self._limit is not None and self._length >= self._limit:
            # A refusal names its own remedy.
            remedy = (
                ""
                if exit_code == SeedlabError.exit_code
                else " Mend that and issue the same command again: it trains the missing runs."
            )
            raise GivenUpError(
                f"the launch is given up, because {self._length} work items in a row failed alike "
                "and no run ended in between (hydra.launcher.give_up_after=null tries every run). "
                f"The last failure: {told.rstrip('.')}.{remedy}",
                exit_code,
            )
