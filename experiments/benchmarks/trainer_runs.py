"""Train runs of a case with the Hugging Face Trainer, one after another, in this process.

python experiments/benchmarks/trainer_runs.py CASE THREADS FIRST_SEED RUNS
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
import torch
from cases import specs
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging

from seedlab.inputs.content import load_encoded
from seedlab.models.checkpoint_folder import locate


def main(case: str, threads: int, first: int, n: int) -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    run = specs(1, case=case)[0]
    task = load_encoded(run.task, run.model, 0)
    folder = locate(run.model.name, run.model.path)

    def rows(name: str) -> list[dict[str, Any]]:
        split = task.splits[name]
        cuts = zip(split.offsets[:-1], split.offsets[1:], split.labels, strict=True)
        return [{"input_ids": split.ids[a:b].tolist(), "labels": int(y)} for a, b, y in cuts]

    train, dev, recipe = rows("train"), rows("dev"), run.recipe
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder))
    steps = -(-len(train) // recipe.batch_size) * recipe.epochs
    for seed in range(first, first + n):
        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out,
                per_device_train_batch_size=recipe.batch_size,
                per_device_eval_batch_size=run.evaluation.batch_size,
                num_train_epochs=recipe.epochs,
                learning_rate=recipe.optimizer.learning_rate,
                weight_decay=recipe.optimizer.weight_decay,
                adam_epsilon=recipe.optimizer.eps,
                warmup_steps=steps // 10,
                eval_strategy="epoch",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                seed=seed,
                data_seed=0,
                logging_strategy="no",
                dataloader_pin_memory=False,
            )
            trainer = Trainer(
                # MiniLM's file is half precision, in which a CPU trains for minutes.
                model=AutoModelForSequenceClassification.from_pretrained(
                    folder, num_labels=2, dtype=torch.float32
                ),
                args=arguments,
                train_dataset=train,
                eval_dataset=dev,
                data_collator=collator,
                compute_metrics=lambda p: {"acc": float(np.mean(p[0].argmax(1) == p[1]))},
            )
            trainer.evaluate()
            trainer.train()


if __name__ == "__main__":
    case, *numbers = sys.argv[1:]
    main(case, *map(int, numbers))
