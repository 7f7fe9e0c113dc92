"""The device of a worker: its share of a GPU, what records say of it, and a GPU that torch lacks."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch

from seedlab.execution.train import gpu_of
from seedlab.inputs.loaded import _warn_of_cpu, prepare
from seedlab.spec.pack import EngineSpec


def test_a_worker_takes_its_share_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[tuple[float, str]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *share: shares.append(share)
    )
    assert prepare(EngineSpec()) == "cuda:0"
    assert shares == []
    assert prepare(EngineSpec(workers_per_gpu=4)) == "cuda:0"
    assert shares == [(0.25, "cuda:0")]
    assert prepare(EngineSpec(workers_per_gpu=4, device="cpu")) == "cpu"
    assert len(shares) == 1


def test_a_gpu_that_torch_does_not_see_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_of_cpu.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        for visible in ("", "-1", "MIG-7a01", "MIG-7a01"):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
            assert prepare(EngineSpec()) == "cpu"
        assert prepare(EngineSpec(device="cpu")) == "cpu"
    [text] = caplog.messages
    assert text == (
        f"this process has GPU MIG-7a01 (CUDA_VISIBLE_DEVICES), but torch {torch.__version__} sees "
        "no CUDA device: its runs are trained on the CPU. Install a CUDA build of torch, or set "
        "engine.device=cpu to use all cores."
    )
    _warn_of_cpu.cache_clear()


def test_records_name_the_gpu_and_nothing_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    h200 = SimpleNamespace(name="NVIDIA H200 MIG 1g.18gb", uuid="3f2a")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: h200)
    assert gpu_of("cuda:0") == {"device_name": "NVIDIA H200 MIG 1g.18gb", "device_uuid": "3f2a"}
    assert gpu_of("cpu") == {}
