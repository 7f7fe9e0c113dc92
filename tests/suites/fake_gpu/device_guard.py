"""A device guard for CUDA that does nothing, for builds of torch without CUDA."""

from __future__ import annotations

import ctypes
import os

import torch

_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"
_CUDA, _META, _DEVICES = 1, 14, 20


def install() -> None:
    """Put Meta's guard, which does nothing, into the empty place of CUDA's.

    `FakeTensorMode` asks for a guard whenever a tensor is on a CUDA device.
    """
    if torch.backends.cuda.is_built():
        return
    library = ctypes.CDLL(os.path.join(os.path.dirname(torch.__file__), "lib", "libc10.so"))
    registry = (ctypes.c_void_p * _DEVICES).in_dll(library, _REGISTRY)
    registry[_CUDA] = registry[_CUDA] or registry[_META]
