"""A run's row of the table `runs`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from seedlab.store.chosen import ScoredRun


def run_row(scores: ScoredRun, study: str) -> dict[str, Any]:
    """Return a run's row of the table `runs`, by column."""
    record = scores.record
    # Built from the record, so that a field that its release did not have is at its default.
    run = record.run_spec()
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    recipe = run.recipe
    return {
        **values,
        "run": record.run_id,
        "study": study,
        "chosen_score": None if math.isnan(scores.chosen_score) else scores.chosen_score,
        "chosen_step": scores.chosen_step,
        **{
            f"{stream}_seed": seed
            for stream, seed in (vars(run.seeds.resolved()) | record.seeds).items()
        },
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "max_steps": recipe.max_steps,
        "accumulation": recipe.accumulation,
        **vars(recipe.optimizer),
        "schedule": recipe.schedule.name,
        "warmup_ratio": recipe.schedule.warmup_ratio,
        "warmup_steps": recipe.schedule.warmup_steps,
        "clip_mode": recipe.clip.mode,
        "clip_norm": recipe.clip.norm,
        "dropout": recipe.dropout,
        "max_length": run.task.max_length,
        "dtype": run.model.dtype,
        "unknown_tokens": record.unknown_tokens.get(record.split),
        "unknown_tokens_train": record.unknown_tokens.get("train"),
        "setting": run.setting,
        "keep": run.evaluation.keep,
        "kept_step": record.weights_step,
    }
