"""Canaries of what seedlab relies on in datasets and huggingface_hub beyond their documentation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from seedlab.compat import hub_private
from tests.suites.canary import canary


def test_the_switch_forbids_every_request() -> None:
    with canary("huggingface_hub", "hub_private.without_network"), hub_private.without_network():
        assert huggingface_hub.constants.HF_HUB_OFFLINE
        with pytest.raises(OfflineModeIsEnabled):
            huggingface_hub.HfApi().repo_info("seedlab/nothing", repo_type="dataset")
        with pytest.raises(ConnectionError, match="OfflineModeIsEnabled"):
            datasets.load_dataset("seedlab/nothing")
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, None),
        (OSError("[Errno -2] Name or service not known"), "[Errno -2] Name or service not known"),
        (404, None),
        (503, "it answers with HTTP 503"),
    ],
)
def test_a_refusal_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, error: OSError | int | None, told: str | None
) -> None:
    def repo_info(*args: Any, **more: Any) -> None:
        assert more == {"repo_type": "model", "timeout": hub_private.SECONDS}
        if isinstance(error, int):
            answer: Any = SimpleNamespace(status_code=error, headers={}, request=None)
            raise HfHubHTTPError("no", response=answer)
        if error is not None:
            raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    with canary("huggingface_hub", "hub_private.unreachable"):
        assert hub_private.unreachable("some/model", "model") == told
    with canary("huggingface_hub", "hub_private.SECONDS"):
        assert 0 < hub_private.SECONDS <= 10
    monkeypatch.undo()
    with hub_private.without_network():
        assert hub_private.unreachable("some/model", "model") == "HF_HUB_OFFLINE is set"
