"""The use of GPUs, with a fake of NVIDIA's library, which may refuse everything."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from seedlab.gpu_use import GpuUse, find_use, gpu_uses
from seedlab.launch.display.displays import LineDisplay, LiveDisplay
from seedlab.launch.display.gpu_monitor import GpuMonitor
from seedlab.launch.display.progress import ProgressState
from seedlab.launch.jobs.slots import Slot
from tests.launch.test_progress import report, work

GIB = 2**30


class Refusal(Exception):
    """As `pynvml.NVMLError`, whose name may differ between releases."""


class FakeNvml:
    """Two GPUs; the second one is divided and has an instance at place 1."""

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"gpu{index}"

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        if handle == "gpu0":
            raise Refusal("not supported")
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, place: int) -> str:
        if place != 1:
            raise Refusal("not found")
        return "mig"

    def nvmlDeviceGetUUID(self, handle: str) -> str | bytes:
        return {"gpu0": b"GPU-aa11", "gpu1": "GPU-bb22", "mig": "MIG-cc33"}[handle]

    def nvmlDeviceGetName(self, handle: str) -> str:
        return {"gpu0": "NVIDIA H200", "gpu1": "NVIDIA A100", "mig": "NVIDIA A100 MIG 3g.40gb"}[
            handle
        ]

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        if handle != "gpu0":
            raise Refusal("not supported")
        return SimpleNamespace(gpu=97, memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=140 * GIB, used=61.25 * GIB, free=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return [SimpleNamespace(pid=12), SimpleNamespace(pid=34)]


def test_values_that_the_library_refuses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    first, second, instance = gpu_uses()
    assert first == GpuUse(
        "0", "GPU-aa11", "NVIDIA H200", 97, int(61.25 * GIB), 140 * GIB, (12, 34)
    )
    assert str(first) == "97 % busy, 61.2 of 140.0 GiB"
    assert (second.busy, str(second)) == (None, "61.2 of 140.0 GiB")
    assert (instance.index, instance.uuid, instance.is_instance) == ("1", "MIG-cc33", True)
    assert find_use((first, second, instance), "1") is second
    assert find_use((first, second, instance), "MIG-CC") is instance
    assert find_use((first, second, instance), "7") is None


@pytest.mark.parametrize(
    "broken", [None, SimpleNamespace(), SimpleNamespace(nvmlInit=lambda: 1 / 0)]
)
def test_without_the_library_or_a_driver_there_is_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    assert gpu_uses() == ()


def test_a_gpu_that_is_lost_meanwhile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(FakeNvml):
        def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
            if index == 0:
                raise Refusal("GPU is lost")
            return super().nvmlDeviceGetHandleByIndex(index)

    monkeypatch.setitem(sys.modules, "pynvml", Lost())
    assert [use.uuid for use in gpu_uses()] == ["GPU-bb22", "MIG-cc33"]


class Now:
    value = 0.0

    def __call__(self) -> float:
        return self.value


def test_the_library_is_asked_every_two_seconds_and_never_for_a_cpu() -> None:
    now, asked = Now(), []
    uses = [GpuUse("0", "GPU-aa11", "NVIDIA H200", 50, GIB, 4 * GIB)]
    monitor = GpuMonitor(now, lambda: asked.append(now.value) or uses)
    assert monitor.text(Slot(0, 1)) == ""
    assert not asked
    for tenths in range(50):
        now.value = tenths / 10
        assert monitor.text(Slot(0, 1, "0")) == "50 % busy, 1.0 of 4.0 GiB"
        assert monitor.text(Slot(1, 1, "3")) == ""
    assert asked == [0.0, 2.0, 4.0]


def test_displays_show_the_gpus_at_work_each_once() -> None:
    now, stream = Now(), io.StringIO()
    uses = [GpuUse("0", "GPU-aa11", "H200", 50, GIB, 4 * GIB), GpuUse("1", "GPU-bb22", "A100")]
    console = Console(file=io.StringIO(), width=120, force_terminal=True, record=True)
    for display in (
        LineDisplay(ProgressState(4, 0), 60.0, stream, clock=now),
        LiveDisplay(ProgressState(4, 0), console, now),
    ):
        display.gpus = GpuMonitor(now, lambda: uses)
        with display:
            for worker in range(2):
                slot, pack = Slot(worker, 1, "GPU-aa11", worker), work([worker])
                display.assigned(slot, pack)
                report(display, slot, pack.jobs[0], "stepped", 1)
            display.tick()
    lines = stream.getvalue().splitlines()
    assert lines[1] == "gpu GPU-aa11 50 % busy, 1.0 of 4.0 GiB"
    shown = console.export_text()
    assert "gpu GPU-aa11 worker 1" in shown
    assert "50 % busy, 1.0 of 4.0 GiB | step 1/100" in shown


def test_the_library_has_what_is_asked_of_it() -> None:
    """Where it is installed; it needs no driver for that."""
    nvml = pytest.importorskip("pynvml")
    asked = {name for name in vars(FakeNvml) if name.startswith("nvml")}
    assert {name for name in asked if callable(getattr(nvml, name, None))} == asked
