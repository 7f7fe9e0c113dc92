"""Time of a whole study as its grid grows, at 20 updates per run, and of a repeated command.

    python experiments/benchmarks/bench_cells.py --sides 5 10 25

It measures the command as a user issues it: planning, workers, training, records. The second time
all cells are on record, so only planning remains.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[5, 10])
    options = parser.parse_args()
    print("\na study as its grid grows (embedded task, 20 updates and one evaluation per run)")
    print(f"{'cells':>6}{'wall s':>9}{'per run':>9}{'again s':>9}")
    for side in options.sides:
        with tempfile.TemporaryDirectory() as studies:
            overrides = [
                "study=cells",
                f"studies_dir={studies}",
                "recipe.max_steps=20",
                "evaluation.per_epoch=0",
                "evaluation.at_start=false",
                f"seed.init=range(0,{side})",
                f"seed.order=range(0,{side})",
            ]
            command = [sys.executable, "-m", "seedlab", "run", "-m", *overrides]
            walls = []
            for _ in range(2):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                walls.append(time.perf_counter() - start)
        print(f"{side**2:6}{walls[0]:9.1f}{walls[0] / side**2:9.3f}{walls[1]:9.1f}", flush=True)


if __name__ == "__main__":
    main()
