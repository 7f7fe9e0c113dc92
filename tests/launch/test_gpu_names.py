"""GPUs by name: CUDA_VISIBLE_DEVICES, UUIDs, MIG instances, and a fake of the driver's tool."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from seedlab.errors import SeedlabError
from seedlab.launch.workers import gpu_names as module
from seedlab.launch.workers.gpu_names import GpuNames, ListedGpu, gpu_names

MIXED = """\
GPU 0: NVIDIA H200 (UUID: GPU-3f2a9c1b-0000-4e4e-8888-000000000001)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-3f2a0000-0000-4e4e-8888-000000000002)
GPU 2: NVIDIA A100-SXM4-80GB (UUID: GPU-9d000000-0000-4e4e-8888-000000000003)
  MIG 3g.40gb     Device  0: (UUID: MIG-7a01c2d3-1111-5c5c-9999-000000000004)
  MIG 3g.40gb     Device  1: (UUID: MIG-8b01c2d3-1111-5c5c-9999-000000000005)
"""
H200 = "GPU-3f2a9c1b-0000-4e4e-8888-000000000001"
A6000 = "GPU-3f2a0000-0000-4e4e-8888-000000000002"
A100 = "GPU-9d000000-0000-4e4e-8888-000000000003"
PARTS = ("MIG-7a01c2d3-1111-5c5c-9999-000000000004", "MIG-8b01c2d3-1111-5c5c-9999-000000000005")
LISTED = (
    ListedGpu("0", H200, "NVIDIA H200"),
    ListedGpu("1", A6000, "NVIDIA RTX A6000"),
    ListedGpu("2", A100, "NVIDIA A100-SXM4-80GB", tuple((uuid, "3g.40gb") for uuid in PARTS)),
)
ALL = GpuNames(("0", "1", *PARTS), LISTED)


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a fake of nvidia-smi on the search path, and nothing else."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_without_a_variable_all_gpus_are_meant_and_of_a_divided_one_its_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, f'[ "$1" = -L ] && echo "{MIXED}"')
    assert gpu_names({}) == ALL


@pytest.mark.parametrize("script", ["echo no driver; exit 9", "echo No devices were found", ""])
def test_a_driver_that_lists_none_means_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    driver(tmp_path, monkeypatch, script)
    assert gpu_names({}) == GpuNames()


def test_a_machine_without_the_driver_has_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_names({}).visible == ()


@pytest.mark.parametrize("listed", [(), LISTED])
@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("", ()),
        ("0", ("0",)),
        ("1, GPU-3f2a9", ("1", "GPU-3f2a9")),
        ("-1", ()),
        ("1,-1,0", ("1",)),
        ("NoDevFiles", ()),
        (PARTS[1], (PARTS[1],)),
        ("MIG-GPU-9d/1/0", ("MIG-GPU-9d/1/0",)),
    ],
)
def test_the_variable_decides_which_gpus_are_visible(
    monkeypatch: pytest.MonkeyPatch, listed: tuple[ListedGpu, ...], variable: str, expected: object
) -> None:
    monkeypatch.setattr(module, "_listed", lambda: listed)
    assert gpu_names({"CUDA_VISIBLE_DEVICES": variable}).visible == expected


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (
            "0,7",
            r"CUDA_VISIBLE_DEVICES is '0,7': the driver lists no GPU 7; GPUs of this machine: "
            r"0 \(NVIDIA H200\), .*leave out that entry and all after it: set .*engine\.device=cpu",
        ),
        ("0,0", r"'0,0': one is named twice"),
        ("0,GPU-3f2a9", r"0 and GPU-3f2a9 are one GPU"),
        ("GPU-3f2a", r"the driver lists no GPU GPU-3f2a;"),
        ("MIG-0000", r"the driver lists no GPU MIG-0000;"),
    ],
)
def test_a_variable_that_cuda_would_cut_short_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setattr(module, "_listed", lambda: LISTED)
    with pytest.raises(SeedlabError, match=message):
        gpu_names({"CUDA_VISIBLE_DEVICES": variable})


def test_numbers_in_another_order_are_not_compared_with_the_drivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CUDA's GPU 0 may then be the driver's 1, so that no two names are known to be one GPU."""
    monkeypatch.setattr(module, "_listed", lambda: LISTED)
    variables: Mapping[str, str] = {
        "CUDA_VISIBLE_DEVICES": f"0,{H200}",
        "CUDA_DEVICE_ORDER": "FASTEST_FIRST",
    }
    assert gpu_names(variables) == GpuNames(("0", H200))


def test_gpus_may_be_chosen_by_number_uuid_and_instance() -> None:
    assert ALL.chosen([PARTS[1], 0, "GPU-3f2a0"]) == [PARTS[1], "0", "GPU-3f2a0"]
    assert ALL.chosen(None) == ["0", "1", *PARTS]
    assert ALL.chosen([]) == []
    # The variable and the setting may name one GPU in two ways.
    assert GpuNames((H200,), LISTED).chosen([0]) == ["0"]


@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        (
            [0, 5],
            r"gpus is \[0, 5\]: 5 not there; there are 4 GPUs visible: 0, 1, MIG-7a.*Name each",
        ),
        (["MIG-dead"], r"MIG-dead not there"),
        (["GPU-3f2a"], r"GPU-3f2a fits 2 GPUs"),
        ([2], r"2 is divided by MIG, name its instances MIG-7a01\S+, MIG-8b01\S+ instead"),
        ([0, H200], rf"0 and {H200} are one GPU"),
        ([PARTS[0], "MIG-7a"], r"are one GPU"),
        ([1, "1"], r"one is named twice"),
    ],
)
def test_names_that_are_unknown_or_repeated_are_refused(gpus: list[str], message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        ALL.chosen(gpus)
