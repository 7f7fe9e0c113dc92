"""`forbid_global_draws`: raises when a model draws from torch's global random generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from seedlab.compat.torch_private import TorchDispatchMode
from seedlab.errors import SeedlabError


def forbid_global_draws(run: Callable[[], object], model_title: str) -> None:
    """Call `run`, and raise if it draws from a global generator.

    Parameters
    ----------
    run : callable
        Runs a forward pass in training mode.
    model_title : str
        Description of the model for the message.

    Raises
    ------
    SeedlabError
        When an operation draws, for example a functional dropout; the message names it.
    """
    with torch.random.fork_rng(devices=[]), _Guard(model_title):
        run()


class _Guard(TorchDispatchMode):
    """Raises on the first operation that would draw from a generator."""

    def __init__(self, model_title: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model_title = model_title

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        # Some operations have the tag and still do not always draw (fused attention with
        # dropout 0). So the generator's state is compared.
        before = torch.get_rng_state()
        out = func(*args, **(kwargs or {}))
        if not torch.equal(before, torch.get_rng_state()):
            raise SeedlabError(
                f"{self.model_title} draws random numbers inside its forward pass ({func}), which can't "
                "be keyed by a seed; allowed are models whose dropouts are torch.nn.Dropout "
                "modules or go through the transformers attention interface: set that dropout to "
                "0 in the checkpoint's config.json."
            )
        return out
