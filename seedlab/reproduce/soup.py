"""The average of several runs' weights (a model soup: Wortsman et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from seedlab.engines.serial.forward import Forward
from seedlab.errors import SeedlabError
from seedlab.inputs.loaded import load_task_of
from seedlab.reproduce.model_folder import new_folder, write_model_folder
from seedlab.reproduce.one_setting import check_distinct, check_finished, check_setting
from seedlab.reproduce.retrain import check_repeatable, retrain
from seedlab.store.record import Record
from seedlab.store.study import StoredRun, StudyFolder
from seedlab.tasks.metrics import METRICS

if TYPE_CHECKING:
    from seedlab.models.pretrained import Weights
    from seedlab.spec.run import RunSpec
    from seedlab.tasks.encoded import EncodedTask

Scores = Mapping[str, Mapping[str, float]]
"""Value of every metric on every split but the training set: ``[split][metric]``."""
_SAME = "an average needs runs that differ in their seeds alone"


@dataclass(frozen=True)
class Soup:
    """An average of weights and its scores.

    Parameters
    ----------
    members : tuple of Record
        The runs, in the order in which they were added.
    averaged : tuple of bool
        Whether the average contains a member's weights; all of them unless the soup is greedy.
    member_scores : tuple of Scores
        The members' own scores, from their recorded logits.
    scores : Scores
        Scores of the averaged weights.
    """

    members: tuple[Record, ...]
    averaged: tuple[bool, ...]
    member_scores: tuple[Scores, ...]
    scores: Scores

    def mean(self, split: str, metric: str) -> float:
        """Return the mean of the members' own scores, over the averaged members."""
        values = [
            scores[split][metric]
            for scores, inside in zip(self.member_scores, self.averaged, strict=True)
            if inside
        ]
        return math.fsum(values) / len(values)


def soup(
    study: StudyFolder,
    runs: Sequence[str],
    *,
    out: Path | None = None,
    greedy: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, run_id: None,
    trust: bool = False,
) -> Soup:
    """Average the weights of runs, and score the average.

    theta = (theta_1 + ... + theta_k) / k, over all weights of the model, heads included. Low-rank
    updates are merged first: the mean of products is not the product of means. Every run is trained
    again and must have its recorded bits. Its weights are those that `seedlab save` writes. Memory
    holds one model in training and the average.

    A greedy soup (Wortsman et al. 2022, recipe 1) begins with the run whose final score is best. In
    the order of these scores it adds every run with which the average's score on ``dev`` is not
    worse than without it.

    Parameters
    ----------
    study : StudyFolder
    runs : sequence of str
        Ids of at least two runs, from `seedlab.reproduce.choose_run.choose_several`.
    out : pathlib.Path, optional
        Folder to save the average in, as `seedlab save` does.
    greedy : bool
    overwrite : bool
        Replace a model that seedlab saved in `out`.
    progress : callable
        Called with (runs trained again, all runs, run id) after every run.
    trust : bool
        See `seedlab.reproduce.retrain.repeat`.

    Raises
    ------
    SeedlabError
        When the runs can't be averaged, the folder can't be used, or a repeated run differs from
        its record. All but the last are found before training.
    """
    if len(runs) < 2:
        raise SeedlabError(f"{len(runs)} run was named; an average needs at least two runs.")
    check_distinct(runs, "an average needs different runs")
    stored = [study.read(run_id) for run_id in runs]
    records = [one.record for one in stored]
    specs = [record.run_spec() for record in records]
    check_setting(specs, _SAME)
    check_finished(records, "an average needs runs that were trained to their end")
    for spec in specs:
        check_repeatable(spec, trust)
    if greedy:
        stored = _best_first(stored)
    task = load_task_of(specs[0])
    with nullcontext() if out is None else new_folder(out, overwrite=overwrite) as made:
        average = _Average(specs[0], task)
        for place, one in enumerate(stored):
            average.add(one, retrain(one, trust=trust), greedy)
            progress(place + 1, len(stored), one.record.run_id)
        weights = average.settle()
        found = Soup(
            tuple(one.record for one in stored),
            tuple(average.inside),
            tuple(_member_scores(one, task) for one in stored),
            {
                split: _scores(logits_of(specs[0], task, weights, split), task, split)
                for split in task.splits
                if split != "train"
            },
        )
        if made is not None:
            write_model_folder(weights, made, records[0], _about(found))
    return found


def logits_of(
    run: RunSpec, task: EncodedTask, weights: Weights, split: str
) -> npt.NDArray[np.float32]:
    """Return the (example, class) logits of the current model, as the serial engine computes them."""
    return Forward(run, task, weights.model, {}, fixed=False).split_logits(task.splits[split])


class _Average:
    """The running mean of models that come one at a time."""

    def __init__(self, run: RunSpec, task: EncodedTask) -> None:
        self.run, self.task = run, task
        self.inside: list[bool] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.weights: Weights
        self.score = math.nan

    def add(self, one: StoredRun, weights: Weights, greedy: bool) -> None:
        """Add a model's weights; a greedy average leaves out those that make it worse."""
        self.weights, n = weights, sum(self.inside)
        if n:
            own = weights.merged_state_dict()
            # In place, so that there is no third model.
            weights.set_merged(lambda name: running_mean(self.tensors[name], own[name], n))
        inside = True
        if greedy:
            metric = self.task.metrics[0]
            logits = logits_of(self.run, self.task, weights, "dev")
            score = _scores(logits, self.task, "dev")[metric]
            worse = math.isnan(score) or one.record.better(self.score, score)
            inside = n == 0 or not worse
            self.score = score if inside else self.score
        self.inside.append(inside)
        if inside:
            for name, tensor in weights.merged_state_dict().items():
                if name in self.tensors:
                    self.tensors[name].copy_(tensor)
                else:
                    self.tensors[name] = tensor.detach().clone()

    def settle(self) -> Weights:
        """Return the last model, with the average as its weights."""
        self.weights.set_merged(self.tensors.__getitem__)
        return self.weights


def running_mean(mean: torch.Tensor, added: torch.Tensor, n: int) -> torch.Tensor:
    """Return the mean of n + 1 tensors from the mean of the first n, rounded once.

    The mean of equal tensors is exactly that tensor. Whole numbers (positions) stay the first's.
    """
    mean = mean.to(added.device)
    if not mean.is_floating_point():
        return mean
    return ((mean.double() * n + added.double()) / (n + 1)).to(added.dtype)


def _best_first(stored: Sequence[StoredRun]) -> list[StoredRun]:
    sign = 1.0 if stored[0].record.direction == "max" else -1.0
    return sorted(stored, key=lambda one: -sign * one.record.final_score)


def _member_scores(one: StoredRun, task: EncodedTask) -> Scores:
    return {split: _scores(logits, task, split) for split, logits in one.arrays.logits.items()}


def _scores(logits: npt.NDArray[np.float32], task: EncodedTask, split: str) -> dict[str, float]:
    labels = task.splits[split].labels
    return {name: METRICS[name].score(logits, labels) for name in task.metrics}


def _about(found: Soup) -> dict[str, object]:
    """Return the entries of a saved average's description."""
    metric = found.members[0].metric
    return {
        "run": None,
        "average_of": [
            {"run": record.run_id, "seeds": record.seeds, "scores": scores}
            for record, scores, inside in zip(
                found.members, found.member_scores, found.averaged, strict=True
            )
            if inside
        ],
        "final_score": found.scores["dev"][metric],
        "final_scores": found.scores,
    }
