"""A user's Hydra callback that leaves its work to the end of the process, as many do."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import IO, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Unclosed(Callback):
    """Writes to a file that it never closes, and uploads in a thread that it never joins."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._file: IO[str] | None = None

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        if self._file is None:
            self._file = (self._folder / "log.txt").open("a")
        self._file.write(f"job {config.hydra.job.num}\n")
        threading.Thread(target=self._upload, args=(config.hydra.job.num,)).start()

    def _upload(self, number: int) -> None:
        time.sleep(0.3)
        (self._folder / f"uploaded-{number}").touch()
