"""`Weights`: a pre-trained model in memory, from which any number of runs can start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging as transformers_logging

from seedlab.errors import SeedlabError, is_out_of_memory
from seedlab.models.generator_guard import forbid_global_draws
from seedlab.models.heads import HeadChoice, HeadedModel, own_dropout
from seedlab.models.initialise import initialise
from seedlab.models.keyed_dropout import DropoutState, install
from seedlab.models.lora import (
    LoraOptions,
    initialise_updates,
    inject,
    merged_state_dict,
    set_merged,
)

MASTER_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.float32,
    "float64": torch.float64,
}
"""Data type of the weights and their updates, for every `model.dtype`."""


@dataclass(frozen=True)
class Weights:
    """A classifier or regressor before fine-tuning.

    Parameters
    ----------
    model : transformers.PreTrainedModel or HeadedModel
        Trained in place; `start` resets it.
    pretrained : mapping of parameter or buffer name to tensor
        The model's tensors after loading the checkpoint.
    new : tuple of str
        Parameters that the checkpoint does not provide; the init stream draws them.
    dropout : DropoutState
        State of the model's dropout sites.
    low_rank_maps : tuple of str
        Module names of the maps with low-rank updates.
    """

    model: PreTrainedModel
    pretrained: Mapping[str, torch.Tensor]
    new: tuple[str, ...]
    dropout: DropoutState
    low_rank_maps: tuple[str, ...] = ()

    def start(self, init_seed: int, fresh: Sequence[str] = ()) -> PreTrainedModel:
        """Reset the model to its pre-trained weights, draw its new parameters, and return it.

        Parameters
        ----------
        init_seed : int
        fresh : sequence of str
            Parameters to re-initialise besides the new ones.
        """
        self.model.load_state_dict(self.pretrained, strict=True)
        std = float(getattr(self.model.config, "initializer_range", None) or 0.02)
        initialise(self.model, dict.fromkeys((*self.new, *fresh)), init_seed, std)
        initialise_updates(self.model, self.low_rank_maps, init_seed)
        self.model.zero_grad(set_to_none=True)
        return self.model

    def merged_state_dict(self) -> dict[str, torch.Tensor]:
        """Return the model's tensors by name; low-rank updates are merged into the weights."""
        return merged_state_dict(self.model, self.low_rank_maps)

    def set_merged(self, tensor_of: Callable[[str], torch.Tensor]) -> None:
        """Set the model's tensors; see `seedlab.models.lora.set_merged`."""
        set_merged(self.model, self.low_rank_maps, tensor_of)


def load_weights(
    folder: Path,
    *,
    n_labels: int,
    pad_id: int,
    max_length: int,
    dtype: torch.dtype = torch.float32,
    dropout: float | None = None,
    head: HeadChoice | None = None,
    low_rank: LoraOptions | None = None,
    trust_remote_code: bool = False,
) -> Weights:
    """Load a checkpoint as a sequence classifier (or regressor) with keyed dropout.

    Every parameter outside the pre-trained encoder is new, even if the checkpoint was fine-tuned
    and has a head. Otherwise the init seed would have no effect.

    Parameters
    ----------
    folder : pathlib.Path
        See `seedlab.models.checkpoint_folder.locate`.
    n_labels : int
        Classes; 1 for regression.
    pad_id : int
        Token id of the padding.
    max_length : int
        Configured maximum length in tokens.
    dtype : torch.dtype
        Type of the (master) weights.
    dropout : float, optional
        Probability for every site; None keeps the model's own.
    head : HeadChoice, optional
        A head of `seedlab.models.heads`; None: the architecture's own.
    low_rank : LoraOptions, optional
        Low-rank updates of the query and value maps; None: no updates.
    trust_remote_code : bool
        Allow the checkpoint's own model code to run.

    Returns
    -------
    Weights

    Raises
    ------
    SeedlabError
        When the architecture has no classifier, or weights of the encoder are missing. When the
        model draws random numbers that can't be keyed, or lacks modules that the head or the
        low-rank updates need.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        config.num_labels = n_labels
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = pad_id
        # transformers draws missing tensors from the global generator, which is forked here.
        # Every run overwrites them from the init stream.
        with torch.random.fork_rng(devices=[]):
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=trust_remote_code,
                # Never a pickle beside them: it was not trusted.
                use_safetensors=True if list(folder.glob("*.safetensors")) else None,
            )
    except Exception as error:  # Libraries raise errors of any class at damaged files.
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise SeedlabError(
            f"{folder} could not be loaded as a sequence classifier ({type(error).__name__}: "
            f"{reason}); allowed are sound checkpoints of any architecture "
            "that transformers' AutoModelForSequenceClassification knows. Restore damaged files."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    encoder = f"{model.base_model_prefix}."
    if not any(name.startswith(encoder) for name, _ in model.named_parameters()):
        raise SeedlabError(
            f"{folder}: {type(model).__name__} has no separate encoder (no part named "
            f"'{encoder[:-1]}'), so seedlab can't find the new parameters of its head; allowed are "
            "architectures that have one, such as BERT, RoBERTa, DistilBERT, ELECTRA."
        )
    absent = set(info["missing_keys"]) | {key[0] for key in info["mismatched_keys"]}
    broken = sorted(n for n in absent if n.startswith(encoder) and ".pooler." not in n)
    if broken:
        raise SeedlabError(
            f"{folder} lacks {len(broken)} tensors of the encoder (the first: {broken[0]}): it is a "
            f"checkpoint of another architecture than its config.json says ({config.model_type}); "
            "use the checkpoint's own config.json."
        )
    state = install(model, max_length, dropout)
    if head is not None:
        with torch.random.fork_rng(devices=[]):
            model = HeadedModel(model, head, state, own_dropout(model))
    new = tuple(
        name
        for name, _ in model.named_parameters()
        if name in absent or not name.startswith(encoder)
    )
    maps = () if low_rank is None else inject(model, low_rank)
    weights = Weights(
        model,
        {name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        new,
        state,
        maps,
    )
    _probe(weights, folder)
    return weights


def accepts_types(model: PreTrainedModel) -> bool:
    """Whether the model accepts token types (segments) and has more than one."""
    passes = model.forward, model.base_model.forward
    accepted = all("token_type_ids" in inspect.signature(one).parameters for one in passes)
    return accepted and int(getattr(model.config, "type_vocab_size", 0) or 0) > 1


def _probe(weights: Weights, folder: Path) -> None:
    """Run one forward pass in training mode, to find random draws before any training."""
    ids = torch.full((1, 4), 5, dtype=torch.long)
    weights.model.train()
    try:
        forbid_global_draws(
            lambda: weights.model(input_ids=ids, attention_mask=torch.ones_like(ids)),
            f"the model in {folder} ({weights.model.config.model_type})",
        )
    except SeedlabError:
        raise
    except Exception as error:
        raise SeedlabError(
            f"the model in {folder} ({weights.model.config.model_type}) can't score a plain text "
            f"({type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}); allowed are "
            "sequence classifiers that need token ids and an attention mask alone."
        ) from error
    finally:
        weights.model.eval()
