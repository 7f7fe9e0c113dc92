"""`KeptWeights`: the weights of a run's best evaluation so far, for `evaluation.keep` best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class KeptWeights:
    """The weights of a run's best evaluation so far.

    Parameters
    ----------
    step : int
        Updates made before the evaluation.
    score : float
        The deciding score on ``dev``; finite.
    tensors : mapping of name to tensor
        See `seedlab.training.pack_model.PackModel.scored_weights`; on the host. Empty once the
        weights are in the run's slot.
    """

    step: int
    score: float
    tensors: Mapping[str, torch.Tensor]


def is_best(kept: KeptWeights | None, step: int, score: float, higher_is_better: bool) -> bool:
    """Return whether an evaluation is strictly better than the one whose weights are kept.

    The rule is that of the chosen score (`seedlab.store.chosen`): the untrained model at step 0
    and a score that is not finite are never the best, and of equal scores the first is.
    """
    if step == 0 or not math.isfinite(score):
        return False
    if kept is None:
        return True
    return score > kept.score if higher_is_better else score < kept.score
