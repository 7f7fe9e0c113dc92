"""Masks on a fake GPU: Philox runs once per shape, and later draws repeat its counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch

from seedlab.randomness.philox import kept_on_device
from tests.suites.fake_gpu.accounts import Accounts, Totals


class CountedMasks:
    """Stands in for `seedlab.randomness.philox.kept_on_device`.

    A draw is some 90 operations on int64, the same for every site of one shape. The first draw of
    a shape runs them all. The others return an empty mask, and are counted like the first.

    Parameters
    ----------
    accounts : Accounts
        Of the fake GPU.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._found: dict[Hashable, Totals] = {}

    def __call__(
        self,
        elements: torch.Tensor,
        rows: torch.Tensor,
        site: int,
        step: Any,
        key: Any,
        threshold: int,
    ) -> torch.Tensor:
        """See `kept_on_device`."""
        capturing = isinstance(step, torch.Tensor), isinstance(key[0], torch.Tensor)
        name = (elements.shape, rows.shape, *capturing)
        if name not in self._found:
            with self._accounts.measure() as totals:
                mask = kept_on_device(elements, rows, site, step, key, threshold)
            self._found[name] = totals
            return mask
        self._accounts.add(self._found[name])
        shape = (*elements.shape[:-1], 4 * elements.shape[-1])
        return torch.empty(shape, dtype=torch.bool, device=elements.device)
