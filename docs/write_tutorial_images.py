"""Run the commands of docs/tutorial.md in a new folder and keep two figures of its report.

``make tutorial-images`` takes two to four minutes on two CPU cores.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from seedlab.commands.cli import main

DOCS = Path(__file__).parent
IMAGES = {
    "tutorial-heatmap.png": "heatmap-acceptability-devlin.png",
    "tutorial-best-of.png": "best-of-acceptability.png",
}
"""Names in docs/images, and in the figures of the tutorial's report."""


def write() -> None:
    """Run the tutorial, and copy the figures."""
    blocks = re.findall(r"^```console\n(.*?)^```", (DOCS / "tutorial.md").read_text(), re.M | re.S)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for line in filter(None, "\n".join(blocks).splitlines()):
            if main(shlex.split(line)[1:]) != 0:
                raise SystemExit(f"{line} failed")
        for name, figure in IMAGES.items():
            shutil.copyfile(f"tutorial-report/figures/{figure}", DOCS / "images" / name)


if __name__ == "__main__":
    write()
