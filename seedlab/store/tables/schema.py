"""Columns of the exported tables: names, types and meanings, with a version number.

A new column or table keeps the version. Removing one, or changing its meaning, raises it.
"""

from __future__ import annotations

SCHEMA_VERSION = 1
Columns = dict[str, tuple[str, str]]
"""column -> (type: string | integer | number | boolean | list of number, meaning)"""

_SEEDS: Columns = {
    "init_seed": ("integer", "seed of every newly initialised tensor"),
    "order_seed": ("integer", "seed of the order of the training examples"),
    "dropout_seed": ("integer", "seed of the dropout masks"),
    "mixout_seed": ("integer", "seed of the mixout masks"),
    "mask_seed": ("integer", "seed of random masking"),
    "augment_seed": ("integer", "seed of augmentation"),
    "subsample_seed": ("integer", "seed of the choice of training examples"),
}

_SETTINGS: Columns = {
    "learning_rate": ("number", "peak learning rate"),
    "batch_size": ("integer", "examples per update"),
    "epochs": ("integer", "passes over the training set that the recipe asks for"),
    "max_steps": ("integer", "updates that the recipe asks for instead of epochs; empty if none"),
    "accumulation": ("integer", "parts into which a batch is split"),
    "schedule": ("string", "name of the learning-rate schedule"),
    "warmup_ratio": ("number", "share of the steps that warm up the learning rate"),
    "warmup_steps": (
        "integer",
        "steps that warm up the learning rate, instead of the ratio; empty if none",
    ),
    "beta1": ("number", "Adam's decay of the first moment"),
    "beta2": ("number", "Adam's decay of the second moment"),
    "eps": ("number", "Adam's epsilon"),
    "weight_decay": ("number", "decoupled weight decay"),
    "bias_correction": ("boolean", "Adam with bias correction, or BERTAdam without"),
    "clip_mode": ("string", "gradient clipping: global, tensor or none"),
    "clip_norm": ("number", "largest gradient norm"),
    "dropout": ("number", "dropout probability; empty if the model's own"),
    "max_length": ("integer", "maximum length of a text in tokens"),
    "train_examples": ("integer", "examples in the training set"),
    "dtype": ("string", "float32, bfloat16 or float64"),
    "setting": (
        "string",
        "hash of everything but the seeds; runs with the same hash differ only in seeds",
    ),
}

RUNS: Columns = {
    "run": ("string", "id of the run"),
    "study": ("string", "name of the study"),
    "task": ("string", "task"),
    "model": ("string", "pre-trained model"),
    "recipe": ("string", "recipe"),
    **_SEEDS,
    "status": (
        "string",
        "finished, diverged (the loss or a logit became NaN or infinite) or stopped (early)",
    ),
    "failed": (
        "boolean",
        "the run diverged, or its final score is no better than failed_rule asks for",
    ),
    "constant": ("boolean", "the final predictions are the same for every example"),
    "metric": ("string", "metric of all scores"),
    "direction": ("string", "max if higher is better, min if lower is"),
    "majority": ("number", "score of the best constant prediction"),
    "n_examples": ("integer", "examples in the scored split"),
    "split": ("string", "split of best_score, chosen_score and final_score"),
    "best_score": ("number", "best of all evaluations, step 0 included"),
    "best_step": ("integer", "first step that reached best_score; 0 is the model before training"),
    "chosen_score": (
        "number",
        "best of the evaluations after step 0 and final_score; empty if there is none",
    ),
    "chosen_step": ("integer", "first step after 0 that reached chosen_score; empty if none did"),
    "final_score": (
        "number",
        "score of the kept weights (keep): after the last step, or chosen_score; chance if the run "
        "diverged",
    ),
    "test_score": ("number", "final score on the test split; empty if there is none"),
    "steps": ("integer", "updates made"),
    "total_steps": ("integer", "updates that the recipe asked for"),
    "seconds": (
        "number",
        "wall-clock seconds of training and evaluation; runs that are trained together divide them, "
        "so this is the run's share",
    ),
    "engine": ("string", "engine"),
    "width": ("integer", "number of runs trained together"),
    "slot": ("integer", "index of the run among those trained together, from 0"),
    "threads": ("integer", "CPU threads; empty if unknown"),
    "device": ("string", "device"),
    **_SETTINGS,
    "hostname": ("string", "machine"),
    "started": (
        "string",
        "finished minus seconds, ISO 8601 in UTC; runs that are trained together began earlier",
    ),
    "finished": ("string", "end, ISO 8601 in UTC"),
    "failed_rule": (
        "string",
        "majority (the score must beat majority) or chance (it must beat shuffled predictions too)",
    ),
    "unknown_tokens": (
        "number",
        "share of the split's tokens that the tokenizer does not know; empty if not counted",
    ),
    "unknown_tokens_train": ("number", "the same share in the training set"),
    "keep": (
        "string",
        "weights that predictions, test scores and saved models have: final (after the last step) "
        "or best (of the first evaluation after step 0 with the best score)",
    ),
    "kept_step": ("integer", "updates made before these weights; steps, with keep=final"),
    "label": (
        "string",
        "the recipe, and what differs between settings of the same task, model, recipe and metric",
    ),
    "device_name": ("string", "product name of the GPU; empty on a CPU, or if unknown"),
}

EVALUATIONS: Columns = {
    "run": ("string", "id of the run"),
    "step": (
        "integer",
        "updates made before the evaluation; 0 is the model before training; for splits that are "
        "scored at the end, updates made before the kept weights",
    ),
    "fraction": ("number", "step as a share of total_steps, in [0, 1]"),
    "epoch": ("number", "step in passes over the training set"),
    "split": ("string", "scored split"),
    "metric": ("string", "metric"),
    "value": ("number", "score; NaN if it does not exist"),
}

STEPS: Columns = {
    "run": ("string", "id of the run"),
    "step": ("integer", "update, counted from 1"),
    "train_loss": (
        "number",
        "mean training loss of the batch; NaN or infinite if the run diverged",
    ),
    "learning_rate": (
        "number",
        "learning rate of the update, of the head; the table rates has those of all depths",
    ),
    "grad_norm": ("number", "L2 norm of the gradient before clipping"),
}

RATES: Columns = {
    "setting": ("string", "hash of the setting, as in runs"),
    "step": ("integer", "update, counted from 1"),
    "depth": (
        "integer",
        "0: embeddings; i: the i-th layer; the largest: head and pooler; empty: all depths",
    ),
    "rate": ("number", "learning rate of the update at this depth; 0 if the depth is frozen"),
}

PREDICTIONS: Columns = {
    "run": ("string", "id of the run"),
    "split": ("string", "split"),
    "example": ("integer", "index of the example in its split, counted from 0"),
    "label": ("number", "index of the true class, or the target"),
    "logits": (
        "list of number",
        "one logit per class, of the kept weights; a single number for regression",
    ),
}

PROFILES: Columns = {
    "run": ("string", "id of the run"),
    "step": ("integer", "updates made before the measurement"),
    "name": ("string", "gradient_norm (L2, before clipping) or distance (L2, from the start)"),
    "depth": ("integer", "0: embeddings; i: the i-th layer; the largest: head and pooler"),
    "value": ("number", "norm over all parameters of the depth; 0 if they are frozen"),
}

REPRESENTATIONS: Columns = {
    "run": ("string", "id of the run"),
    "depth": ("integer", "0: embeddings; i: output of the i-th layer"),
    "example": ("integer", "index of the example in the validation set, counted from 0"),
    "values": (
        "list of number",
        "hidden state of the first token with the kept weights, one number per feature",
    ),
}

TABLES: dict[str, Columns] = {
    "runs": RUNS,
    "evaluations": EVALUATIONS,
    "steps": STEPS,
    "predictions": PREDICTIONS,
    "rates": RATES,
    "profiles": PROFILES,
    "representations": REPRESENTATIONS,
}
DIAGNOSTICS = ("profiles", "representations")
"""Tables that are exported only if a run recorded them."""
PARQUET_ALONE = ("representations",)
"""Tables that are always Parquet: as CSV they would have hundreds of columns."""


def flattened(columns: Columns, n_labels: int) -> Columns:
    """Return the columns with the list of logits as ``logit_0``, ``logit_1``, ...

    Parameters
    ----------
    columns
        Columns of a table.
    n_labels : int
        The largest number of classes in the study.
    """
    flat: Columns = {}
    for name, (kind, meaning) in columns.items():
        if kind != "list of number":
            flat[name] = (kind, meaning)
            continue
        for index in range(n_labels):
            flat[f"logit_{index}"] = ("number", f"logit of class {index}; empty if there is none")
    return flat
