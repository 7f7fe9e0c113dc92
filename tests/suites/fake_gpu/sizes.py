"""Packs of real sizes on a fake GPU: what an update costs, and what memory it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from seedlab.engines.packed import column as column_module
from seedlab.engines.packed.column import ColumnModel
from seedlab.engines.packed.options import ComputeOptions
from seedlab.engines.packed.planning.shape import Shape
from seedlab.models.keyed_dropout import install
from seedlab.models.pretrained import Weights
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import EvaluationSpec, ModelSpec, RunSpec, Seeds
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import collate, training_batches
from seedlab.training.step_plan import make_plan
from tests.suites.fake_gpu.accounts import Totals
from tests.suites.fake_gpu.mode import FakeCapturer, FakeGpu
from tests.suites.fake_gpu.training import CallingThread, fake_cuda

LONGEST, WORDS, EXAMPLES = 128, 30522, 640
"""Tokens of the longest example, words of the vocabulary, and examples of a split."""
MEAN, SPREAD = 67.0, 35.0
"""Mean and standard deviation of RTE's lengths in word pieces."""
_BASE = {"num_labels": 2, "vocab_size": WORDS, "pad_token_id": 0}
_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "BERT-base": lambda: BertForSequenceClassification(BertConfig(**_BASE)),
    "BERT-large": lambda: BertForSequenceClassification(BertConfig(**_BASE, **_LARGE)),
    "RoBERTa-base": lambda: RobertaForSequenceClassification(
        RobertaConfig(**{**_BASE, "max_position_embeddings": 514, "type_vocab_size": 1})
    ),
    "DistilBERT": lambda: DistilBertForSequenceClassification(DistilBertConfig(**_BASE)),
    "ELECTRA-base": lambda: ElectraForSequenceClassification(
        ElectraConfig(
            **{
                **_BASE,
                "hidden_size": 768,
                "embedding_size": 768,
                "num_attention_heads": 12,
                "intermediate_size": 3072,
            }
        )
    ),
}
"""Models of the published sizes, with random weights."""


@dataclass(frozen=True)
class Costs:
    """What one update of a pack does on a GPU.

    Attributes
    ----------
    tokens : int
        Tokens of the batch without padding.
    phases : dict of str to Totals
        Of the parts of an update: ``masks`` (and the batch), ``passes`` (forward and backward) and
        ``optimiser``.
    """

    tokens: int
    phases: dict[str, Totals]

    @property
    def kernels(self) -> int:
        """Kernels of the whole update."""
        return sum(sum(phase.kernels.values()) for phase in self.phases.values())

    @property
    def bytes(self) -> int:
        """Bytes that the whole update reads and writes."""
        return sum(sum(phase.bytes.values()) for phase in self.phases.values())


def rte_like(examples: int = EXAMPLES) -> EncodedTask:
    """Return random tokens whose lengths are distributed like RTE's (gamma, cut at 128)."""
    generator = np.random.Generator(np.random.Philox(0))
    shape = (MEAN / SPREAD) ** 2
    drawn = generator.gamma(shape, MEAN / shape, examples)
    lengths = np.clip(np.rint(drawn), 4, LONGEST).astype(int)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = generator.integers(1000, WORDS, offsets[-1]).astype(np.int32)
    labels = generator.integers(0, 2, examples)
    split = Split(ids, np.zeros(len(ids), np.int8), offsets, labels)
    return EncodedTask(
        name="rte",
        splits={"train": split, "dev": split},
        n_labels=2,
        label_names=("0", "1"),
        metrics=("accuracy",),
        pad_id=0,
        max_length=LONGEST,
    )


class FakePack:
    """A pack of runs of a real size on a fake GPU.

    Parameters
    ----------
    gpu : FakeGpu
    column : ColumnModel
    task : EncodedTask
    shape : Shape
        The sizes that the planner counted with.
    before : int
        Bytes in use before the pack was made.
    """

    def __init__(
        self, gpu: FakeGpu, column: ColumnModel, task: EncodedTask, shape: Shape, before: int
    ) -> None:
        self.gpu, self.column, self.task, self.shape = gpu, column, task, shape
        self._before = before
        self._split = task.splits["train"]
        run = column.runs[0]
        self._batches = training_batches(len(self._split), run.recipe.batch_size, 0)
        self.step = 0

    def update(self) -> Costs:
        """Make the next update of the order of training; return what it costs."""
        column, accounts = self.column, self.gpu.accounts
        batch = collate(self._split, next(self._batches), 0)
        phases: dict[str, Totals] = {}
        peak = accounts.peak

        def mark(name: str) -> None:
            nonlocal peak
            peak = max(peak, accounts.peak)
            kernels, moved = Counter(accounts.kernels), Counter(accounts.bytes)
            phases[name] = Totals(kernels, moved, accounts.flops)
            accounts.reset()

        accounts.reset()
        built, (stack,) = column.batch_builder.build, column.stacks
        optimized = stack.optimizer.update

        def build(*args: Any) -> Any:
            found = built(*args)
            mark("masks")
            return found

        def optimize(*args: Any) -> Any:
            mark("passes")
            return optimized(*args)

        column.batch_builder.build = build  # type: ignore[method-assign]
        stack.optimizer.update = optimize  # type: ignore[method-assign]
        try:
            column.update(batch, self.step)
        finally:
            del column.batch_builder.build, stack.optimizer.update  # type: ignore[misc]
        mark("optimiser")
        accounts.peak = max(peak, accounts.peak)
        self.step += 1
        return Costs(int(batch.mask.sum()), phases)

    def score(self) -> None:
        """Score the development set."""
        self.column.logits(self.task.splits["dev"])

    @property
    def peak(self) -> int:
        """Bytes in use at most, without those in use before the pack was made."""
        return self.gpu.accounts.peak - self._before


@contextmanager
def pack_on_fake_gpu(
    model: str,
    width: int,
    *,
    rows: int = 16,
    graphs: bool = False,
    own_dropout: bool = False,
    free: int = 1 << 50,
    examples: int = EXAMPLES,
    steps: int = 50,
) -> Iterator[FakePack]:
    """Yield a pack of bfloat16 runs on RTE's lengths; nothing takes memory of the host.

    Parameters
    ----------
    model : str
        A name of `MODELS`.
    width : int
        Runs.
    rows : int
        Examples per batch.
    graphs : bool
        Capture passes and masks.
    own_dropout : bool
        Every run has a dropout seed of its own.
    free : int
        Bytes that the planner finds free.
    examples : int
        Of the training and the development set.
    steps : int
        Updates of a run.
    """
    task, gpu, shapes = rte_like(examples), FakeGpu(), []
    with torch.device("meta"):
        made = MODELS[model]()
    with fake_cuda(gpu, free), CallingThread(1) as threads:
        weights = _weights(made.to_empty(device="cuda:0"))
        runs = _runs(width, rows, own_dropout, steps)
        before = gpu.accounts.live
        options = ComputeOptions(width, True, (lambda: FakeCapturer(gpu)) if graphs else None)
        with _seen_by_planner(shapes):
            plan = make_plan(runs[0].recipe, runs[0].evaluation, examples)
            column = ColumnModel(runs, [plan] * width, task, weights, threads, options)
        yield FakePack(gpu, column, task, shapes[0], before)


class _Unchanged(Weights):
    """Weights without values, which need not be reset for every run."""

    def start(self, init_seed: int, fresh: Sequence[str] = ()) -> PreTrainedModel:
        """See `Weights`."""
        return self.model


def _weights(model: PreTrainedModel) -> Weights:
    state = install(model, LONGEST)
    pretrained = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    new = tuple(name for name, _ in model.named_parameters() if name.startswith("classifier"))
    return _Unchanged(model, pretrained, new, state)


def _runs(width: int, rows: int, own_dropout: bool, steps: int) -> list[RunSpec]:
    recipe = RecipeSpec(max_steps=steps, batch_size=rows)
    evaluation = EvaluationSpec(per_epoch=0, at_start=False, batch_size=128)
    return [
        RunSpec(
            model=ModelSpec(dtype="bfloat16"),
            recipe=recipe,
            evaluation=evaluation,
            seeds=Seeds(init, 0, dropout=init if own_dropout else None).resolved(),
        )
        for init in range(width)
    ]


@contextmanager
def _seen_by_planner(shapes: list[Shape]) -> Iterator[None]:
    check = column_module.check_fits

    def seen(shape: Shape, *rest: Any) -> None:
        shapes.append(shape)
        check(shape, *rest)

    with mock.patch.object(column_module, "check_fits", seen):
        yield
