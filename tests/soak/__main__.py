"""`python -m tests.soak [KIND...]`: all cases of the soak suites, and their table.

A case that has passed is skipped when the command is repeated; one that failed is repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.soak.cases import KINDS, remaining, run_cases
from tests.soak.table import README, read_results, write_table

DEFAULT_FOLDER = Path("studies/soak")


def main() -> int:
    """Run the cases that are left; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--into", type=Path, default=DEFAULT_FOLDER, help="folder of the results")
    parser.add_argument("--workers", type=int, default=1, help="cases at a time")
    parser.add_argument("--readme", type=Path, default=README, help="file of the table")
    options = parser.parse_args()
    unknown = sorted(set(options.kinds) - set(KINDS))
    if unknown:
        parser.error(f"no such kind: {', '.join(unknown)}; allowed: {', '.join(KINDS)}")
    options.into.mkdir(parents=True, exist_ok=True)
    results = options.into / "soak.jsonl"
    cases = remaining(options.kinds or KINDS, read_results(results))
    print(f"{len(cases)} cases", flush=True)
    run_cases(cases, options.into, results, workers=options.workers)
    everything = read_results(results)
    write_table(everything, options.readme)
    failed = [result for result in everything if not result.ok]
    for result in failed:
        print(f"failed: {result.kind} {result.seed} ({result.label})")
    print(f"{len(everything)} cases on record, {len(failed)} failed; the table: {options.readme}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
