"""The model card of a pre-trained encoder."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np


def model_card(
    command: str,
    options: Mapping[str, Any],
    size: tuple[int, int, int],
    losses: list[float],
    seconds: float,
) -> str:
    """Return the card: the encoder, its pre-training and the curve of its loss.

    Parameters
    ----------
    command : str
        Command line that makes it again.
    options : mapping
        Values of `seedlab.commands.encoder.pretraining.PretrainOptions`.
    size : (int, int, int)
        Words in the vocabulary, positions, parameters.
    losses : list of float
        Nats per masked token, one per update.
    seconds : float
        Time of the updates.
    """
    words, positions, parameters = size
    curve = [
        f"| {step} | {np.mean(losses[max(0, step - 200) : step]):.3f} |"
        for step in sorted({len(losses) * k // 10 for k in range(1, 11)})
        if step
    ]
    used = ("torch", "transformers", "tokenizers", "numpy")
    lines = [
        "# The encoder of seedlab",
        "",
        "A small BERT for trying seedlab out without a download: it knows the grammar of the",
        "embedded tasks and nothing else. Made for studying variance, not for use on text.",
        "",
        "- Architecture: BERT, 2 layers, hidden size 128, 4 heads, intermediate size 512,",
        f"  {positions} positions, one token per word ({words} tokens), {parameters:,} parameters, float32.",
        "- Heads: the masked-language-modelling head is included. There is no pooler: that of a",
        "  classifier is new and belongs to the init seed, as the classifier itself does.",
        f"- Command: `{command}`",
        f"- Options: `{json.dumps(dict(options))}`",
        "- Data: the unlabelled text of `seedlab/tasks/embedded/task.py` (`unlabelled`): grammatical",
        "  sentences and pairs of sentences in equal parts, none of which is in a validation split.",
        "- Objective: masked language modelling, 15 percent of the tokens (80/10/10), no dropout,",
        "  AdamW (betas .9, .98, weight decay .01), clipping at 1, linear schedule, 10 percent warm-up.",
        f"- Time: {seconds:.0f} s with {options['threads']} thread(s) on a machine with "
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {datetime.now(UTC):%Y-%m-%d}",
        f"- Versions: Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in used),
        "- Licence: Apache-2.0, as the project",
        "",
        "Loss in nats per masked token, mean of the 200 updates before (first update: "
        f"{losses[0]:.3f}):",
        "",
        "| update | loss |",
        "|---|---|",
        *curve,
        "",
    ]
    return "\n".join(lines)
