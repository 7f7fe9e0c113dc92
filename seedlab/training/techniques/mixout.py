"""Mixout (Lee et al. 2020): weights fall back to their initial values, at random.

The weight that a linear map computes with is ``((1 - M) w0 + M w - p w0) / (1 - p)``, where M is
1 with probability 1 - p: in expectation it is w. The released code's gradient with respect to w
lacks the factor 1 / (1 - p); here it is M / (1 - p), the derivative of that weight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch
from torch import nn

from seedlab.models.keyed_dropout import site_number
from seedlab.randomness.philox import Key, kept_on_device, philox4x32
from seedlab.techniques.mixout import MixoutSpec
from seedlab.training.techniques.effect import Effect, ModelOptions, SubstituteWeights

_HOST = torch.device("cpu")
STREAM = "mixout"
"""The stream of random numbers that masks are drawn from."""


class MixoutEffect(Effect[MixoutSpec]):
    """Linear maps compute with weights that fall back, in place of any dropout."""

    @property
    def packed_form(self) -> str:
        """See `Effect`."""
        return "mixout"

    def model_options(self, options: ModelOptions) -> ModelOptions:
        """See `Effect`."""
        return options if self.settings.keep_dropout else options._replace(dropout=0.0)

    def substitute(
        self,
        model: nn.Module,
        trained: Collection[str],
        key: Callable[[str], tuple[int, int]],
    ) -> SubstituteWeights:
        """See `Effect`."""
        settings = self.settings
        return Mixout(model, trained, settings.p, settings.granularity, key(STREAM))


def keep_mask(
    shape: tuple[int, int],
    p: float,
    granularity: str,
    site: int,
    key: Key,
    step: int | torch.Tensor,
    device: torch.device = _HOST,
) -> torch.Tensor:
    """Return which weights of a linear map do not fall back in an update.

    Parameters
    ----------
    shape : (int, int)
        Shape of the weight: (output feature, input feature).
    p : float
        Probability of falling back, in [0, 1]: a weight is kept where its random word is at
        least floor(p 2**32).
    granularity : str
        ``column`` (one draw per input feature, as released) or ``element``.
    site : int
        Number of the linear map: `seedlab.models.keyed_dropout.site_number` of the module's name.
    key : (int, int)
        Words of the `mixout` stream's key (`seedlab.randomness.streams.philox_key`).
    step : int or () tensor of int64
        Number of the update, counted from 0.
    device : torch.device
        On a CPU numpy draws, unless the step is a tensor; elsewhere torch draws, on the device.

    Returns
    -------
    tensor of bool, of `shape`, or (1, input feature) for ``column``
        The counter's words are (feature // 4, output feature, site, step); word number
        (feature % 4) of the block decides. A column's draw is that of output feature 0.
    """
    n_out, n_in = shape
    rows = 1 if granularity == "column" else n_out
    quads = -(-n_in // 4)
    if device.type != "cpu" or isinstance(step, torch.Tensor):
        elements = torch.arange(quads, device=device)[None]
        outputs = torch.arange(rows, device=device)[:, None]
        return kept_on_device(elements, outputs, site, step, key, int(p * 2**32))[:, :n_in]
    words = philox4x32(
        np.arange(quads, dtype=np.uint64)[None],
        np.arange(rows, dtype=np.uint64)[:, None],
        np.array(site, dtype=np.uint64)[None],
        np.array(step, dtype=np.uint64)[None],
        key,
    )
    drawn = np.stack(words, axis=-1).reshape(rows, 4 * quads)[:, :n_in]
    return torch.from_numpy(drawn >= int(p * 2**32))


def mix(w: torch.Tensor, w0: torch.Tensor, mask: torch.Tensor, p: float) -> torch.Tensor:
    """Return the weight that a linear map computes with; its gradient reaches `w` alone.

    Parameters
    ----------
    w, w0 : tensors of one shape
        The weight, and the value that it falls back to.
    mask : tensor of bool
        It has that shape or broadcasts to it: see `keep_mask`.
    p : float
        In [0, 1]; at 1 the result is `w0`, whatever the mask.
    """
    if p == 1.0:
        return torch.where(torch.zeros_like(mask), w, w0)
    return (torch.where(mask, w, w0) - p * w0) / (1.0 - p)


class Mixout:
    """Mixout of all linear maps of a model.

    Weights fall back to their values at construction. For a new map that is its own random start,
    as in the released code. Biases, embeddings and norms are left alone.

    Parameters
    ----------
    model : torch.nn.Module
    trained : collection of str
        Names of the parameters that are trained. Mixout leaves the others alone.
    p, granularity, key
        See `keep_mask`.
    """

    def __init__(
        self,
        model: nn.Module,
        trained: Collection[str],
        p: float,
        granularity: str,
        key: tuple[int, int],
    ) -> None:
        self.p, self.granularity, self.key = p, granularity, key
        self.sites: dict[str, int] = {}
        self.weights: dict[str, torch.Tensor] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and f"{name}.weight" in trained:
                self.sites[f"{name}.weight"] = site_number(name)
                self.weights[f"{name}.weight"] = module.weight
        self.start = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def masks(self, step: int) -> dict[str, torch.Tensor]:
        """Return the masks of update number `step`, by parameter name."""
        return {
            name: keep_mask(
                (weight.shape[0], weight.shape[1]),
                self.p,
                self.granularity,
                self.sites[name],
                self.key,
                step,
                weight.device,
            )
            for name, weight in self.weights.items()
        }

    def mixed(self, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the weights to compute with, by parameter name; gradients reach the model's."""
        return {
            name: mix(weight, self.start[name], masks[name], self.p)
            for name, weight in self.weights.items()
        }
