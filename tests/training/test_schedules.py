"""Schedules, plans and their published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedlab.errors import SeedlabError
from seedlab.spec.recipe import RecipeSpec, ScheduleSpec
from seedlab.spec.run import EvaluationSpec
from seedlab.training.schedules import get_schedule
from seedlab.training.step_plan import make_plan


def plan(n: int, **recipe: object):
    return make_plan(RecipeSpec(**recipe), EvaluationSpec(), n)


@pytest.mark.parametrize(
    ("n", "batch_size", "epochs", "steps"),
    [
        (2490, 32, 3, 234),  # RTE, Zhang et al. 2021
        (1000, 32, 3, 96),  # the 1k subsets
        (2490, 16, 20, 3120),  # RTE, Mosbach et al. 2021
        (3668, 16, 1, 230),  # MRPC, Dodge et al. 2020
        (8551, 16, 1, 535),  # CoLA
        (67349, 16, 1, 4210),  # SST-2
    ],
)
def test_published_step_counts(n: int, batch_size: int, epochs: int, steps: int) -> None:
    assert plan(n, batch_size=batch_size, epochs=epochs).total_steps == steps


def test_linear_rises_from_zero_to_the_peak_and_falls_to_zero() -> None:
    made = plan(1600, batch_size=16, epochs=5, schedule=ScheduleSpec(warmup_steps=50))
    assert made.multipliers[0] == 0.0
    assert made.multipliers[50] == 1.0
    # The last update is number T - 1; at T the rate would be 0.
    assert made.multipliers[-1] == pytest.approx(1 / 450)
    assert max(made.multipliers) == 1.0


@given(st.integers(1, 3000), st.integers(1, 64), st.integers(1, 20), st.floats(0, 1))
def test_warmup_is_its_share_of_the_run(n: int, batch: int, epochs: int, ratio: float) -> None:
    made = plan(n, batch_size=batch, epochs=epochs, schedule=ScheduleSpec(warmup_ratio=ratio))
    assert made.warmup_steps == int(ratio * made.total_steps)
    assert all(0.0 <= m <= 1.0 for m in made.multipliers)
    assert len(made.multipliers) == made.total_steps


def test_linear_equals_transformers() -> None:
    import torch
    from transformers import get_linear_schedule_with_warmup

    made = plan(500, batch_size=16, epochs=3)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, made.warmup_steps, made.total_steps)
    rates = []
    for _ in range(made.total_steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(made.multipliers, rates, rtol=1e-12)


def test_constant_stays_after_the_warmup() -> None:
    made = plan(160, batch_size=16, schedule=ScheduleSpec("constant", warmup_steps=4))
    assert made.multipliers[:5] == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert set(made.multipliers[4:]) == {1.0}


def test_released_schedule_of_dodge2020() -> None:
    """RTE: peaks of .98, .56 and .23 in the three epochs, mean .325, last steps below 0."""
    made = plan(2490, schedule=ScheduleSpec("dodge2020_as_released"))
    epochs = np.array(made.multipliers).reshape(3, 156)
    np.testing.assert_allclose(epochs.max(axis=1), [0.98, 0.56, 0.23], atol=0.015)
    assert np.mean(made.multipliers) == pytest.approx(0.325, abs=0.002)
    assert -0.01 < made.multipliers[-1] < 0.0


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(SeedlabError, match=r"linaer does not exist; allowed: linear.*'linear'\?"):
        get_schedule("linaer")


def steps(n_epochs: int = 2, n: int = 100, **evaluation: object) -> tuple[int, ...]:
    recipe = RecipeSpec(batch_size=10, epochs=n_epochs)
    return make_plan(recipe, EvaluationSpec(**evaluation), n).evaluation_steps


def test_evaluation_schedules() -> None:
    assert steps() == (0, 10, 20)
    assert steps(per_epoch=0) == (0, 20)
    assert steps(per_epoch=0, at_start=False) == (20,)
    assert steps(per_epoch=5, at_start=False) == (2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    assert steps(every=7) == (0, 7, 14, 20)
    assert steps(per_epoch=3) == (0, 3, 7, 10, 13, 17, 20)


@given(st.integers(1, 500), st.integers(0, 30), st.booleans())
def test_the_last_step_is_always_evaluated(n: int, per_epoch: int, at_start: bool) -> None:
    made = make_plan(RecipeSpec(), EvaluationSpec(per_epoch=per_epoch, at_start=at_start), n)
    assert made.evaluation_steps[-1] == made.total_steps
    assert (made.evaluation_steps[0] == 0) == at_start
    assert list(made.evaluation_steps) == sorted(set(made.evaluation_steps))


def test_max_steps_cuts_and_stretches() -> None:
    made = plan(100, batch_size=10, max_steps=37)
    assert (made.total_steps, made.warmup_steps) == (37, 3)
    assert made.evaluation_steps == (0, 10, 20, 30, 37)
