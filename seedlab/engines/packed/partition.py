"""`ModelPartition`: a model's trained parameters, per run, and frozen ones, shared by a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from seedlab.engines.packed.encoder.architecture import EncoderArchitecture, describe
from seedlab.engines.packed.encoder.encoder import StackedEncoder
from seedlab.engines.packed.encoder.flat_layout import FlatLayout, make_layout
from seedlab.engines.packed.encoder.parametrizations import Parametrization, parametrize
from seedlab.engines.packed.encoder.ragged_batch import make_tables
from seedlab.engines.packed.encoder.ragged_dropout import Site, sites_of
from seedlab.engines.packed.planning.batch_sizes import BatchSizes
from seedlab.engines.packed.planning.shape import Shape
from seedlab.models.pretrained import Weights
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask
from seedlab.training.effects import effects_of
from seedlab.training.parameter_plan import ParameterPlan, stream_key


@dataclass(frozen=True)
class ModelPartition:
    """A model, divided into trained and frozen parameters for the runs of a column.

    Parameters
    ----------
    architecture : EncoderArchitecture
    encoder : StackedEncoder
    trained : FlatLayout
        Layout of a run's vector of trained parameters.
    frozen : FlatLayout
        Layout of the vector of frozen parameters, which all runs share.
    sites : tuple of Site
        Dropout sites in training.
    hidden, feed_forward : int
        Widths of the model.
    dtype : torch.dtype
        Type of the weights.
    product_dtype : torch.dtype
        Type in which matrix products are computed.
    device : torch.device
    parametrization : Parametrization or None
        Computes effective weights from the trained ones; None: the encoder uses these directly.
    """

    architecture: EncoderArchitecture
    encoder: StackedEncoder
    trained: FlatLayout
    frozen: FlatLayout
    sites: tuple[Site, ...]
    hidden: int
    feed_forward: int
    dtype: torch.dtype
    product_dtype: torch.dtype
    device: torch.device
    parametrization: Parametrization | None

    @property
    def trunk_has_dropout(self) -> bool:
        """Whether a stage below the first trained one contains dropout."""
        return any(self.architecture.stage(site.name) < self.encoder.first for site in self.sites)

    @property
    def keeps_features(self) -> bool:
        """Whether only the head is trained, on features that are the same in every epoch."""
        return self.encoder.first > len(self.architecture.layers) and not self.trunk_has_dropout

    @property
    def copy_dtype(self) -> torch.dtype | None:
        """Type of the weights' low-precision copies; None: matrix products read the weights."""
        uncopied = self.parametrization is not None or self.product_dtype == self.dtype
        return None if uncopied else self.product_dtype

    def vector(self, layout: FlatLayout, *runs: int) -> torch.Tensor:
        """Return a vector of zeros for a layout, or one per run."""
        return torch.zeros(*runs, layout.size, dtype=self.dtype, device=self.device)

    def unused_squares(self, pretrained: Mapping[str, torch.Tensor]) -> float:
        """Return the sum of squares of trained embedding rows that the task never uses."""
        total = 0.0
        for name, rows in self.trained.rows.items():
            table = pretrained[name]
            unused = torch.ones(len(table), dtype=torch.bool)
            unused[rows] = False
            # The host knows the rows: a mask on the device would make it wait for their number.
            rows_left = unused.nonzero()[:, 0].to(table.device)
            total += float(table[rows_left].double().square().sum())
        return total

    def shape(
        self,
        runs: Sequence[RunSpec],
        batches: BatchSizes,
        room: int = 0,
        buffers: int = 0,
        initial_weights: bool = False,
        stacked: bool = True,
        captured: bool = False,
    ) -> Shape:
        """Return the sizes that decide how much memory a column takes.

        Parameters
        ----------
        runs : sequence of RunSpec
            The runs of the column.
        batches : BatchSizes
        room : int
            Bytes available for cached outputs of the frozen trunk.
        buffers : int
            Vectors of the weights' size that a run keeps for its techniques.
        initial_weights : bool
            Whether initial weights are kept.
        stacked : bool
            Whether a stack has several runs.
        captured : bool
            Whether CUDA graphs draw the masks, into buffers with a reserve.
        """
        itemsize, run = self.dtype.itemsize, runs[0]
        keys = {stream_key(own, "dropout") for own in runs}
        masks = sum(_elements(site, batches) for site in self.sites)
        layers, first = len(self.architecture.layers), self.encoder.first
        copy_itemsize = 0 if self.copy_dtype is None else self.copy_dtype.itemsize
        shared = self.frozen.size + (self.trained.size if initial_weights else 0)
        # Kept weights lie on the host, whose memory is planned only where it computes.
        kept = run.evaluation.keep == "best" and self.device.type == "cpu"
        scratch = 0
        if self.parametrization is not None:
            scratch = self.parametrization.layout.size * (
                2 if self.parametrization.separate_grads else 1
            )
            shared += self.parametrization.mask_elements
        return Shape(
            size=self.trained.size,
            hidden=self.hidden,
            feed_forward=self.feed_forward,
            heads=self.architecture.heads,
            # All frozen layers together keep a single layer's activations.
            layers=layers - max(first - 1, 0) + (first > 1),
            batches=batches,
            itemsize=itemsize,
            vectors=3 + buffers + kept,
            scratch=scratch,
            shared=shared * itemsize + self.frozen.size * copy_itemsize + room,
            copy_itemsize=copy_itemsize,
            product_itemsize=0 if self.product_dtype == self.dtype else self.product_dtype.itemsize,
            mask_elements=masks + (masks // 4 if captured else 0),
            own_masks=len(keys) > 1,
            stacked=stacked,
        )


def partition_model(
    weights: Weights, task: EncodedTask, run: RunSpec, parameter_plan: ParameterPlan
) -> ModelPartition:
    """Return the partition of a model for a column.

    Parameters
    ----------
    weights : Weights
    task : EncodedTask
    run : RunSpec
        A run of the column.
    parameter_plan : ParameterPlan
        The run's plan.

    Raises
    ------
    SeedlabError
        When the architecture can't be stacked.
    """
    model = weights.model
    architecture = describe(model)
    used = np.unique(np.concatenate([split.ids for split in task.splits.values()]))
    longest = max(int(split.lengths.max()) for split in task.splits.values())
    table = model.get_parameter(architecture.words)
    tables, words, positions = make_tables(
        torch.from_numpy(used.astype(np.int64)),
        len(table),
        longest,
        architecture.padding,
        architecture.positions_count_tokens,
    )
    rows = {architecture.words: words, architecture.positions: positions}
    trained = [name for name, _ in model.named_parameters() if name not in parameter_plan.frozen]
    up = model.get_parameter(f"{architecture.layers[0].up}.weight")
    return ModelPartition(
        architecture=architecture,
        encoder=StackedEncoder(architecture, tables, min(map(architecture.stage, trained))),
        trained=make_layout(model, architecture, rows, trained),
        frozen=make_layout(model, architecture, rows, parameter_plan.frozen),
        sites=_sites(model, architecture, parameter_plan.without_dropout),
        hidden=up.shape[1],
        feed_forward=up.shape[0],
        dtype=table.dtype,
        product_dtype=torch.bfloat16 if run.model.dtype == "bfloat16" else table.dtype,
        device=table.device,
        parametrization=parametrize(effects_of(run.recipe), model, architecture, trained),
    )


def _sites(
    model: PreTrainedModel, architecture: EncoderArchitecture, without_dropout: tuple[str, ...]
) -> tuple[Site, ...]:
    """Return the dropout sites outside of the modules `without_dropout`."""
    hidden = model.get_parameter(f"{architecture.dense}.weight").shape[1]
    widths = dict.fromkeys(architecture.dropout, hidden)
    widths[architecture.embedding_site] = model.get_parameter(architecture.words).shape[1]
    for layer in architecture.layers:
        widths.pop(layer.attention_site, None)
    prefixes = tuple(f"{module}." for module in without_dropout)
    sites = sites_of(architecture, widths)
    return tuple(site for site in sites if not f"{site.name}.".startswith(prefixes))


def _elements(site: Site, batches: BatchSizes) -> int:
    """Return the elements of a site's mask for the largest batch."""
    by_kind = {
        "tokens": batches.tokens,
        "first": batches.rows,
        "attention": batches.rows * batches.places**2,
        "first_attention": batches.rows * batches.places,
    }
    return site.size * by_kind[site.kind]
