"""The Hugging Face hub without a network: whether it answers, and the switch that forbids to ask it.

`datasets` asks again and again for half a minute, and logs every try, before it gives up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

SECONDS = 5.0
"""longest time until the hub must have answered"""


def unreachable(repository: str, kind: str) -> str | None:
    """Return why the hub can't be asked about a repository; None if it answers.

    Parameters
    ----------
    repository : str
    kind : {"dataset", "model"}

    Returns
    -------
    str or None
        A refusal is an answer: that a repository does not exist, for instance. That the server is
        out of order is none. Without a network it takes milliseconds, and `SECONDS` at most where
        nothing comes back.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().repo_info(repository, repo_type=kind, timeout=SECONDS)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        return f"it answers with HTTP {status}" if status >= 500 else None
    except Exception as error:
        if "offline mode" in str(error):
            return "HF_HUB_OFFLINE is set"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return reason.rstrip(".")
    return None


@contextmanager
def without_network() -> Iterator[None]:
    """Make `datasets` and `huggingface_hub` use their caches alone, inside the block.

    Both read ``HF_HUB_OFFLINE`` when they are imported, so that the variable comes too late.
    """
    import datasets.config
    import huggingface_hub.constants

    with ExitStack() as stack:
        for module in (datasets.config, huggingface_hub.constants):
            stack.enter_context(patch.object(module, "HF_HUB_OFFLINE", True))
        yield
