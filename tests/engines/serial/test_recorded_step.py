"""A serial training step on the tape: key and step in tensors give every replay its own masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.engines.serial.pack_model import SerialModel
from seedlab.training.batches import Batch, collate
from seedlab.training.step_plan import make_plan
from tests.suites.runs import make_run
from tests.suites.tape import Tape
from tests.suites.tiny import tiny_task, tiny_weights

STEPS = 5


def serial_model(folder: Path) -> SerialModel:
    run, task = make_run(init=1), tiny_task()
    plan = make_plan(run.recipe, run.evaluation, len(task.splits["train"]))
    return SerialModel(run, task, tiny_weights(folder), plan, {})


def batches(model: SerialModel) -> list[Batch]:
    """Batches of one shape: the same examples in another order at every step."""
    split, rows = model.task.splits["train"], np.arange(8)
    return [collate(split, np.roll(rows, step), model.task.pad_id) for step in range(STEPS)]


def recording(
    tape: Tape, model: SerialModel, batch: Batch
) -> tuple[torch.Tensor, Callable[[], None]]:
    """Capture the gradients of update 0; return its loss, and the replay."""
    with pytest.MonkeyPatch.context() as capturing:
        # As in a capture on a GPU, transformers then reads no value of the attention mask.
        capturing.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        model.begin(0)
        return tape.capture(lambda: model.add_gradients(batch, 0, len(batch.labels)))


def gradients(model: SerialModel) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.parameters.items() if p.grad is not None}


def test_a_replayed_step_has_the_bits_of_a_plain_one(tmp_path: Path) -> None:
    """Forward and backward are replayed; the update itself is made as ever, on the same weights."""
    plain, recorded = (serial_model(tmp_path) for _ in range(2))
    made = [plain.update(batch, step, False) for step, batch in enumerate(batches(plain))]

    recorded.weights.dropout.in_tensors(recorded.device)
    still = batches(recorded)[0].to(recorded.device)
    tape = Tape()
    loss, replay = recording(tape, recorded, still)
    for step, batch in enumerate(batches(recorded)):
        for here, there in zip(vars(still).values(), vars(batch).values(), strict=True):
            here.copy_(there)
        recorded.begin(step)
        replay()
        norms = recorded.apply_gradients(step, False)
        assert float(loss) == made[step][0][0]
        assert np.array_equal(norms, made[step][1])
    assert (tape.captured, tape.replayed) == (1, STEPS)
    assert len(recorded.parameters) == len(gradients(recorded)) > 20
    for name, p in recorded.parameters.items():
        assert torch.equal(p, plain.parameters[name]), name


def test_a_step_in_a_number_is_frozen_into_the_recording(tmp_path: Path) -> None:
    """What the tensors are for: with numbers a replay repeats the masks of the recorded step."""
    differ = []
    for in_tensors in (True, False):
        model = serial_model(tmp_path)
        if in_tensors:
            model.weights.dropout.in_tensors(model.device)
        _, replay = recording(Tape(), model, batches(model)[0].to(model.device))
        first = gradients(model)
        model.begin(1)
        replay()
        differ.append(any(not torch.equal(g, first[name]) for name, g in gradients(model).items()))
    assert differ == [True, False]
