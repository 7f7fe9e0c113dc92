"""Losses of a stack of runs, and their gradients with respect to the logits."""

from __future__ import annotations

import torch


def losses_and_gradient(
    logits: torch.Tensor, labels: torch.Tensor, rows: int, root: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return every run's loss and its gradient at the logits.

    Parameters
    ----------
    logits : (..., row, class) tensor
        One class means regression.
    labels : (row,) tensor of int64, or of a floating type for regression
    rows : int
        Examples of the whole update. The sum over examples is divided by this number, so the
        losses of the parts of an accumulated batch add up.
    root : bool
        Regression: take the root of the mean squared error. Losses of parts then do not add up.

    Returns
    -------
    losses : (...) tensor
        Cross-entropy, or (root of the) mean squared error for regression.
    gradient : (..., row, class) tensor
    """
    if logits.shape[-1] == 1:
        difference = logits[..., 0] - labels.to(logits.dtype)
        if root:
            losses = (difference.square().sum(-1) / rows).sqrt()
            return losses, (difference / (rows * losses[..., None]))[..., None]
        return difference.square().sum(-1) / rows, (difference * (2.0 / rows))[..., None]
    log_shares = torch.log_softmax(logits, -1)
    one_hot = torch.nn.functional.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    losses = -(log_shares * one_hot).sum((-2, -1)) / rows
    return losses, (log_shares.exp() - one_hot) / rows
