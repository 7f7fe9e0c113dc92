"""`Forward`: forward passes of the serial engine, through the encoder or from kept features."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call

from seedlab.models.heads import HeadedModel
from seedlab.models.pretrained import accepts_types
from seedlab.spec.run import RunSpec
from seedlab.tasks.encoded import EncodedTask, Split
from seedlab.training.batches import Batch, collate, evaluation_batches


class Forward:
    """The forward passes of one model.

    Parameters
    ----------
    run : RunSpec
    task : EncodedTask
    model : transformers.PreTrainedModel or HeadedModel
    features : dict of int to tensor
        Inputs of the head from an encoder that is not trained, by the `id` of the split. Missing
        ones are added. They are the same for all runs of one task, model and head.
    fixed : bool
        Whether the encoder is neither trained nor has dropout.
    """

    def __init__(
        self,
        run: RunSpec,
        task: EncodedTask,
        model: HeadedModel,
        features: dict[int, torch.Tensor],
        fixed: bool,
    ) -> None:
        self.run, self.task, self.model, self.features = run, task, model, features
        self.device = model.device
        # Other heads are computed together with the encoder: inputs of a head that reads every
        # token are too large to be kept, and those of an architecture's own head are not known.
        self.keeps_features = (
            fixed and isinstance(model, HeadedModel) and model.head.reads_first_tokens
        )

    def logits(
        self, batch: Batch, split: Split, mixed: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Return the (row, class) logits of a batch of a split.

        `mixed` weights, by parameter name, replace the model's.
        """
        logits: torch.Tensor
        with self._autocast():
            if self.keeps_features:
                read = self._features(split)[batch.examples.cpu()].to(self.device)
                logits = self.model.head(read, batch.mask)
            elif mixed:
                inputs = self._inputs(batch)
                logits = functional_call(self.model, dict(mixed), kwargs=inputs).logits
            else:
                logits = self.model(**self._inputs(batch)).logits
        return logits if logits.dtype == torch.float64 else logits.float()

    def split_logits(self, split: Split) -> npt.NDArray[np.float32]:
        """Return the (example, class) logits of a split; the model's mode stays as it was."""
        training = self.model.training
        self.model.eval()
        out = np.empty((len(split), self.task.n_labels), dtype=np.float32)
        with torch.inference_mode():
            for indices in evaluation_batches(split, self.run.evaluation.batch_size):
                batch = collate(split, indices, self.task.pad_id).to(self.device)
                out[indices] = self.logits(batch, split).float().cpu().numpy()
        self.model.train(training)
        return out

    def first_tokens(self, batch: Batch) -> torch.Tensor:
        """Return the (hidden state, row, feature) first tokens of a batch."""
        with self._autocast():
            out = self.model.base_model(**self._inputs(batch), output_hidden_states=True)
        return torch.stack([hidden[:, 0] for hidden in out.hidden_states])

    def _features(self, split: Split) -> torch.Tensor:
        """Return the (example, layer, feature) first tokens of a split, on the host."""
        kept = self.features.get(id(split))
        if kept is None:
            # Updates read them too, so they can't be inference tensors, even if scoring asks first.
            with torch.inference_mode(False), torch.no_grad():
                for indices in evaluation_batches(split, self.run.evaluation.batch_size):
                    batch = collate(split, indices, self.task.pad_id).to(self.device)
                    read = self.model.read(**self._inputs(batch)).cpu()
                    if kept is None:
                        kept = torch.empty((len(split), *read.shape[1:]), dtype=read.dtype)
                    kept[indices] = read
            assert kept is not None  # no split is empty
            self.features[id(split)] = kept
        return kept

    def _inputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if accepts_types(self.model):
            inputs["token_type_ids"] = batch.types
        return inputs

    def _autocast(self) -> AbstractContextManager[object]:
        """Return the precision that the model's matrix products run in."""
        if self.run.model.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()
