"""Slots of a machine: GPUs, CPU cores, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from seedlab.errors import SeedlabError
from seedlab.launch.jobs.slots import Slot
from seedlab.launch.workers.gpu_names import GpuNames
from seedlab.launch.workers.machine_slots import environment, make_slots


def slots(**changed: Any) -> list[Slot]:
    defaults: dict[str, Any] = {
        "slots": None,
        "gpus": None,
        "threads": None,
        "device": "auto",
        "visible": [],
        "cores": 8,
    }
    values = defaults | changed
    return make_slots(names=GpuNames(tuple(values.pop("visible"))), **values)


def test_one_slot_per_visible_gpu_which_share_the_cores() -> None:
    assert slots(visible=["0", "1"]) == [Slot(0, 4, "0"), Slot(1, 4, "1")]


def test_a_gpu_slot_sees_its_gpu_alone_and_a_cpu_slot_none() -> None:
    assert environment(Slot(0, 4, "GPU-3f"))["CUDA_VISIBLE_DEVICES"] == "GPU-3f"
    assert environment(Slot(0, 4))["CUDA_VISIBLE_DEVICES"] == ""
    assert environment(Slot(0, 4))["OMP_NUM_THREADS"] == "4"


def test_chosen_gpus_are_used_in_the_order_given() -> None:
    assert [s.gpu for s in slots(gpus=[3, "1"], visible=["0", "1", "2", "3"])] == ["3", "1"]
    assert [s.gpu for s in slots(slots=1, visible=["0", "1"])] == ["0"]


@pytest.mark.parametrize("changed", [{"gpus": []}, {"device": "cpu"}])
def test_gpus_can_be_left_alone(changed: dict[str, Any]) -> None:
    assert {s.gpu for s in slots(visible=["0", "1"], **changed)} == {None}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (8, 1)),
        ({"threads": 3}, (2, 3)),
        ({"threads": 16}, (1, 16)),
        ({"slots": 2}, (2, 4)),
        ({"slots": 3}, (3, 2)),
        ({"slots": 2, "threads": 1}, (2, 1)),
        ({"slots": 20}, (20, 1)),
    ],
)
def test_cpu_slots_and_threads_divide_the_cores(
    changed: dict[str, Any], expected: tuple[int, int]
) -> None:
    made = slots(**changed)
    assert (len(made), made[0].threads) == expected
    assert [slot.index for slot in made] == list(range(len(made)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slots": 0}, r"slots is 0, but at least 1 worker is needed; set 1 or more, or null"),
        (
            {"slots": 3, "visible": ["0", "1"]},
            r"slots is 3, but there are 2 GPUs to use with 1 worker each .*slots=2, or "
            r"engine\.workers_per_gpu=2 where packs are small, or .*gpus=\[\]",
        ),
        (
            {"slots": 5, "visible": ["0", "1"], "workers_per_gpu": 2},
            r"slots is 5, but .* with 2 workers each .*slots=4, or engine\.workers_per_gpu=3",
        ),
        (
            {"gpus": [0, 7], "visible": ["0", "1"]},
            r"gpus is \[0, 7\]: 7 not there; there are 2 GPUs visible: 0, 1\..*gpus=null",
        ),
        ({"gpus": [0], "visible": []}, r"0 not there; there is no GPU visible"),
        ({"gpus": [1, 1], "visible": ["0", "1"]}, r"one is named twice"),
        ({"device": "cuda"}, r"engine\.device is cuda, but there is no GPU visible.*device=cpu"),
        (
            {"device": "cuda", "gpus": [], "visible": ["0"]},
            r"there is 1 GPU visible and hydra\.launcher\.gpus is \[\]",
        ),
        ({"threads": 0}, r"threads per worker must be at least 1, got 0"),
    ],
)
def test_what_is_not_there_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        slots(**changed)


def test_workers_of_one_gpu_share_its_cores_and_every_gpu_is_used_before_it_is_shared() -> None:
    made = slots(visible=["0", "MIG-7a01c2d3-x"], workers_per_gpu=2)
    assert [(s.gpu, s.worker, s.threads) for s in made] == [
        ("0", 0, 2), ("MIG-7a01c2d3-x", 0, 2), ("0", 1, 2), ("MIG-7a01c2d3-x", 1, 2),
    ]  # fmt: skip
    assert [s.label for s in made] == [
        "gpu 0 worker 0", "gpu MIG-7a01c2d3 worker 0", "gpu 0 worker 1", "gpu MIG-7a01c2d3 worker 1",
    ]  # fmt: skip
    assert [s.gpu for s in slots(visible=["0", "1"], workers_per_gpu=2, slots=3)] == ["0", "1", "0"]
    # Without a GPU there is none to share.
    assert slots(workers_per_gpu=2) == slots()
