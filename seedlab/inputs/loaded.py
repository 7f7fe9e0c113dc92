"""The task and the pre-trained weights of a run, loaded once per process."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from seedlab.errors import SeedlabError
from seedlab.inputs.content import load_encoded
from seedlab.spec.pack import EngineSpec
from seedlab.spec.run import ModelSpec, RunSpec

if TYPE_CHECKING:
    from seedlab.models.pretrained import Weights
    from seedlab.tasks.encoded import EncodedTask
    from seedlab.training.techniques.effect import ModelOptions

log = logging.getLogger(__name__)


def load_task_of(run: RunSpec) -> EncodedTask:
    """Return the run's task, and refuse one that changed since the run was planned."""
    task = load_encoded(run.task, run.model, run.seeds.subsample, run.recipe.truncation)
    if run.data_hash and task.content_hash() != run.data_hash:
        raise SeedlabError(
            f"the data of task '{run.task.name}' has changed since run {run.run_id} was planned "
            f"(content {task.content_hash()}, expected {run.data_hash}); restore the files, or issue "
            "the command again to plan runs on the new data."
        )
    return task


def load_weights_of(run: RunSpec, task: EncodedTask, device: str) -> Weights:
    """Return the run's pre-trained model on a device, loaded once per process."""
    from seedlab.training.effects import model_options_of

    model_options = model_options_of(run.recipe)
    return _weights(run.model, task.n_labels, task.pad_id, task.max_length, model_options, device)


@lru_cache(maxsize=1)
def _weights(
    model: ModelSpec,
    n_labels: int,
    pad_id: int,
    max_length: int,
    model_options: ModelOptions,
    device: str,
) -> Weights:
    from seedlab.models.checkpoint_folder import locate
    from seedlab.models.pretrained import MASTER_DTYPES, load_weights

    weights = load_weights(
        locate(model.name, model.path, model.allow_pickle),
        n_labels=n_labels,
        pad_id=pad_id,
        max_length=max_length,
        dtype=MASTER_DTYPES[model.dtype],
        trust_remote_code=model.trust_remote_code,
        **model_options._asdict(),
    )
    weights.model.to(device)
    return weights


def prepare(engine: EngineSpec) -> str:
    """Set the number of CPU threads and the share of a GPU, and return the device.

    Raises
    ------
    SeedlabError
        When a CUDA device is asked for, or needed, and torch sees none.
    """
    import torch

    if engine.threads is not None:
        torch.set_num_threads(engine.threads)
    if engine.device == "cpu" or (engine.device == "auto" and not torch.cuda.is_available()):
        if engine.graphs:
            raise SeedlabError(
                "engine.graphs=true records CUDA graphs, but torch sees no CUDA device; use "
                "engine.graphs=false, or install a CUDA build of torch."
            )
        if engine.device == "auto":
            _warn_of_cpu(os.environ.get("CUDA_VISIBLE_DEVICES", ""), torch.__version__)
        return "cpu"
    if not torch.cuda.is_available():
        raise SeedlabError(
            "engine.device=cuda, but torch sees no CUDA device; use engine.device=auto or cpu, or "
            "install a CUDA build of torch."
        )
    if engine.workers_per_gpu > 1:
        torch.cuda.set_per_process_memory_fraction(1 / engine.workers_per_gpu, "cuda:0")
    return "cuda:0"


@lru_cache(maxsize=1)
def _warn_of_cpu(gpu: str, version: str) -> None:
    """Say once that runs of a GPU's worker are trained on the CPU."""
    if gpu.strip() and not gpu.strip().startswith("-"):
        log.warning(
            "this process has GPU %s (CUDA_VISIBLE_DEVICES), but torch %s sees no CUDA device: its "
            "runs are trained on the CPU. Install a CUDA build of torch, or set "
            "engine.device=cpu to use all cores.",
            gpu,
            version,
        )
