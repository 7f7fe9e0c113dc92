"""A toy application for the launcher's tests: its runs sleep, and fail where a test asks for it.

Its store is a folder of JSON files; ``faults.json`` in it lists the cells that fail and their faults. Runs are
claimed with file locks, which the system releases when a process dies.
It imports neither torch nor seedlab's own store, so its workers start fast.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from seedlab.errors import SeedlabError
from seedlab.execution.events import Event, Outcome
from seedlab.launch.jobs.application import trained_in_packs
from seedlab.spec.early_stopping import EarlyStoppingSpec
from seedlab.spec.pack import TO_THE_END, EngineSpec, Pack, Stage
from seedlab.spec.run import RunSpec, Seeds, TaskSpec

STEPS = 4
NONE = EarlyStoppingSpec()
SKIPPED = Outcome("skipped")
DEFAULTS = {
    "defaults": [{"override hydra/launcher": "seedlab"}, {"override hydra/sweeper": "seedlab"}],
    "seed": {"init": 0, "order": 0, "dropout": None},
    "task": "toy",
    "engine": {"width": 4, "threads": 1, "device": "cpu"},
    "study": "???",
    "seconds": 0.0,
    "dry": False,
    "hydra": {
        "sweep": {"dir": "${study}", "subdir": "jobs/${hydra.job.id}"},
    },
}
ConfigStore.instance().store(name="toy", node=DEFAULTS)
SWEPT = {"defaults": ["toy", "_self_"], "hydra": {"sweeper": {"params": {"seed.init": "4,7"}}}}
ConfigStore.instance().store(name="toy_swept", node=SWEPT)


@dataclass(frozen=True)
class ToyRequest:
    spec: RunSpec
    engine: EngineSpec
    study: Path
    stage: Stage = TO_THE_END
    early_stopping: EarlyStoppingSpec = NONE


class ToyAdapter:
    """Keeps no state: everything is in the study's folder."""

    def request(self, cfg: DictConfig) -> ToyRequest:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
        task = TaskSpec(name=f"{values['task']} {values['seconds']}")
        spec = RunSpec(task=task, seeds=Seeds(**values["seed"]).resolved())
        return ToyRequest(spec, EngineSpec(**values["engine"]), Path(values["study"]))

    def cohorts(self, requests: Sequence[ToyRequest]) -> tuple[()]:
        return ()

    def begin(self, study: Path, specs: Sequence[RunSpec]) -> None:
        (study / "begun.json").write_text(json.dumps([spec.run_id for spec in specs]))

    def scores_on_record(self, study: Path, engine: EngineSpec) -> Mapping[str, float | None]:
        found = (study / "runs").glob("*.json")
        return {path.stem: json.loads(path.read_text()) for path in found}

    def missing(self, study: Path, run_ids: Collection[str]) -> list[str]:
        return [run for run in run_ids if not (study / "runs" / f"{run}.json").exists()]

    def describe(
        self, specs: Sequence[RunSpec], packs: Sequence[Pack], on_record: set[str], workers: int
    ) -> str:
        return f"{len(specs)} runs, {len(packs)} packs, {len(on_record)} on record"

    def execute(
        self, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Mapping[str, Outcome]:
        note(study, "packs", f"{os.getpid()} {' '.join(cell(run) for run in pack.runs)}")
        outcomes = {}
        with ExitStack() as claims:
            free = [run for run in pack.runs if claim(run, study, claims)]
            for run in pack.runs:
                outcome = self._outcome(run, pack, study, on_event) if run in free else SKIPPED
                outcomes[run.run_id] = outcome
                on_event(
                    Event(
                        "finished" if outcome.status == "recorded" else outcome.status,
                        run.run_id,
                        step=STEPS,
                        total_steps=STEPS,
                        score=outcome.score,
                        message=outcome.error.rpartition("\n")[2],
                    )
                )
        return outcomes

    def _outcome(
        self, run: RunSpec, pack: Pack, study: Path, on_event: Callable[[Event], None]
    ) -> Outcome:
        path = study / "runs" / f"{run.run_id}.json"
        if path.exists():
            return Outcome("recorded", json.loads(path.read_text()))
        try:
            score = train(run, pack, study, on_event)
        except BlockingIOError:
            return SKIPPED
        except ArithmeticError as error:
            return Outcome("failed", error=f"Traceback ...\n{error!r}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(score))
        note(study, "trained", cell(run))
        return Outcome("recorded", score)


def claim(run: RunSpec, study: Path, claims: ExitStack) -> bool:
    """Lock a run until `claims` is closed; False where another process trains it."""
    (study / "claims").mkdir(exist_ok=True)
    file = claims.enter_context((study / "claims" / run.run_id).open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def train(run: RunSpec, pack: Pack, study: Path, on_event: Callable[[Event], None]) -> float:
    seconds = float(run.task.name.split()[1])
    on_event(Event("started", run.run_id, total_steps=STEPS))
    for step in range(1, STEPS + 1):
        time.sleep(seconds / STEPS)
        on_event(Event("evaluated", run.run_id, step=step, total_steps=STEPS, score=0.1 * step))
    suffer(run, pack, study)
    return toy_score(run.seeds.init, run.seeds.order)


def toy_score(init: int, order: int) -> float:
    return 0.5 + 0.01 * init + 0.001 * order


def cell(run: RunSpec) -> str:
    return f"{run.seeds.init},{run.seeds.order}"


def note(study: Path, name: str, line: str) -> None:
    with (study / f"{name}.txt").open("a") as file:
        file.write(line + "\n")


def suffer(run: RunSpec, pack: Pack, study: Path) -> None:
    """Fail as ``faults.json`` asks: {cell: [kind, number of times]}."""
    path = study / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else {}
    kind, times = faults.get(cell(run), ("none", 0))
    if times <= 0:
        return
    faults[cell(run)] = [kind, times - 1]
    path.write_text(json.dumps(faults))
    match kind:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            sys.stderr.write("terminate called after throwing an instance of bad_alloc\n")
            os._exit(3)
        case "raise":
            raise ZeroDivisionError("loss of nothing")
        case "pack":
            raise MemoryError(f"no room for {len(pack.runs)} runs")
        case "refuse":
            raise SeedlabError("the data has changed.")
        case "claimed":
            raise BlockingIOError


@trained_in_packs(ToyAdapter())
def run(cfg: DictConfig) -> float:
    return toy_score(cfg.seed.init, cfg.seed.order)


def foreign(cfg: DictConfig) -> Any:
    """A task function without an adapter."""
    match cfg.task:
        case "raise":
            raise RuntimeError(f"init {cfg.seed.init} is unlucky")
        case "odd-error":
            raise OddError(1, 2)
        case "odd-value":
            return (number for number in range(3))
        case "die":
            os._exit(7)
        case "environment":
            return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS",)}
        case "chatter":
            print("hello from a worker")
            print("and from its stderr", file=sys.stderr)
            print("no end of line", end="")
        case "modules":
            return "torch" in sys.modules
        case "pid":
            return os.getpid()
    return toy_score(cfg.seed.init, cfg.seed.order)


class OddError(Exception):
    """Can't be unpickled: it is pickled with one argument and needs two."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


class Recorder(Callback):
    """Writes down the callbacks that it receives, with the process id."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def _note(self, callback: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{callback} {os.getpid()}\n")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._note("multirun_start")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self._note("multirun_end")

    def on_job_start(self, config: DictConfig, *, task_function: Any, **kwargs: Any) -> None:
        self._note(f"job_start:{config.hydra.job.num}:{task_function.__name__}")

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        self._note(f"job_end:{config.hydra.job.num}:{job_return.status.name}")


main = hydra.main(version_base="1.3", config_path=None, config_name="toy")(run)

if __name__ == "__main__":
    main()
