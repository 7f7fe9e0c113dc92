"""Philox4x32-10 on arrays: random words that are a pure function of (counter, key).

The algorithm is from Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". It
uses 64-bit integer operations, which wrap around and shift the same way in torch and numpy:
int64 in torch (on every device, eager or compiled), uint64 in numpy. On a CPU numpy is two to
three times faster. The results match the known-answer vectors of the authors' library.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

Key = tuple[int, int] | tuple[torch.Tensor, torch.Tensor]
"""Words of a stream's key; tensors on a device where a captured step must read them anew."""
Array = TypeVar("Array", torch.Tensor, npt.NDArray[np.integer[Any]])

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


def philox4x32(
    c0: Array, c1: Array, c2: Array, c3: Array, key: Key
) -> tuple[Array, Array, Array, Array]:
    """Return four random 32-bit words for every counter.

    Parameters
    ----------
    c0, c1, c2, c3 : int64 tensors or uint64 arrays that broadcast together
        Words of the counter, each in [0, 2**32), least significant first.
    key : (int, int), or two () tensors of int64
        Each in [0, 2**32).

    Returns
    -------
    four tensors or arrays
        Values in [0, 2**32), of the broadcast shape and the input's type.
    """
    k0: Any
    k1: Any
    k0, k1 = key
    for _ in range(10):
        # The product of two 32-bit words can overflow a signed 64-bit integer. It wraps, and an
        # arithmetic shift and a mask recover its upper half.
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _LOW) ^ c1 ^ k0,
            p1 & _LOW,
            ((p0 >> 32) & _LOW) ^ c3 ^ k1,
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def kept_on_device(
    elements: torch.Tensor,
    rows: torch.Tensor,
    site: int,
    step: int | torch.Tensor,
    key: Key,
    threshold: int,
) -> torch.Tensor:
    """Return which elements are kept, drawn with torch on the device of `elements`.

    A step or a key in tensors is read when the work runs. So a captured CUDA graph draws new masks
    whenever it is replayed.

    Parameters
    ----------
    elements : (..., quad) tensor of int64
        First word of the counters.
    rows : tensor of int64 that broadcasts to `elements`
        Second word.
    site, step : int, or () tensor of int64 for the step
        Third and fourth word.
    key : Key
    threshold : int
        An element is kept where its random word is at least this, in [0, 2**32].

    Returns
    -------
    (..., 4 quad) tensor of bool
    """
    one = (1,) * elements.ndim
    c2 = torch.full(one, site, dtype=torch.long, device=elements.device)
    c3 = torch.full_like(c2, step) if isinstance(step, int) else step.reshape(one)
    words = philox4x32(elements, rows, c2, c3, key)
    return torch.stack([word >= threshold for word in words], dim=-1).flatten(-2)
