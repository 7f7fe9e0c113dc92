"""Learning rates by depth (Zhang et al. 2021; Chang; Sun et al. 2019), in their numberings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedlab.techniques.layer_rates import LayerRatesSpec
from seedlab.training.techniques.effect import Effect, Floats


class LayerRatesEffect(Effect[LayerRatesSpec]):
    """A learning rate for every depth."""

    @property
    def by_depth(self) -> bool:
        """See `Effect`."""
        return True

    def peak_rates(self, peaks: Floats, n_layers: int) -> Floats:
        """See `Effect`. The last of `peaks` is the rate that the others are derived from."""
        layers = self.settings
        return np.array(
            peak_rates(
                layers.scheme,
                n_layers,
                float(peaks[-1]),
                decay=layers.decay,
                head_learning_rate=layers.head_learning_rate,
                multipliers=layers.multipliers,
            )
        )


def peak_rates(
    scheme: str,
    n_layers: int,
    learning_rate: float,
    *,
    decay: float = 0.95,
    head_learning_rate: float | None = None,
    multipliers: Sequence[float] = (1.0, 1.75, 3.5, 3.6),
) -> list[float]:
    """Return the peak learning rate of every depth.

    Parameters
    ----------
    scheme : str
        ``zhang``: head and pooler at e^0, the top layer at e^1, the lowest at e^N, embeddings at
        e^(N+1), where e is `decay`. ``chang``: the top layer at e^0, the lowest at e^(N-1),
        embeddings at e^N, head and pooler at their own rate. ``sun``: as chang, but embeddings
        and head at e^0. ``grouped``: three contiguous groups of layers, the embeddings with the
        lowest; where N is no multiple of three, the lower groups have a layer more.
    n_layers : int
        N, at least 1.
    learning_rate : float
        Positive.
    decay : float
        In (0, 1].
    head_learning_rate : float, optional
        chang, grouped: of head and pooler; None: `learning_rate`, or the last multiplier's.
    multipliers : four positive floats
        grouped: of the three groups and of the head.

    Returns
    -------
    list of N + 2 floats
        Embeddings, layers from the bottom up, head and pooler.
    """
    if scheme == "grouped":
        of_layers = [multipliers[3 * layer // n_layers] for layer in range(n_layers)]
        rates = [learning_rate * m for m in (multipliers[0], *of_layers)]
        head = learning_rate * multipliers[3]
        return [*rates, head if head_learning_rate is None else head_learning_rate]
    below_top = range(n_layers, 0, -1)
    if scheme == "zhang":
        layers = [learning_rate * decay**power for power in below_top]
        return [learning_rate * decay ** (n_layers + 1), *layers, learning_rate]
    layers = [learning_rate * decay ** (power - 1) for power in below_top]
    if scheme == "chang":
        head = learning_rate if head_learning_rate is None else head_learning_rate
        return [learning_rate * decay**n_layers, *layers, head]
    if scheme == "sun":
        return [learning_rate, *layers, learning_rate]
    raise ValueError(f"scheme is {scheme!r}; allowed: zhang, chang, sun, grouped.")
