"""Learning rates by depth, against numbers computed from the papers and released codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seedlab.models.depth import depths
from seedlab.models.parameter_groups import parameter_groups
from seedlab.spec.recipe import LayerRatesSpec, OptimizerSpec, RecipeSpec, ScheduleSpec
from seedlab.spec.run import EvaluationSpec
from seedlab.training.learning_rates import learning_rates
from seedlab.training.step_plan import make_plan
from seedlab.training.techniques.layer_rates import peak_rates
from tests.suites.tiny import ARCHITECTURES, tiny_weights


def test_zhang_with_24_layers() -> None:
    """Published setting: 2e-5 and .95 on BERT-large; four printed digits."""
    rates = peak_rates("zhang", 24, 2e-5, decay=0.95)
    assert len(rates) == 26
    assert rates[-1] == 2e-5
    assert rates[-2] == pytest.approx(1.9e-5, rel=1e-12)
    assert rates[1] == pytest.approx(5.840e-6, rel=1e-4)
    assert rates[0] == pytest.approx(5.548e-6, rel=1e-4)


def test_zhang_with_12_layers() -> None:
    rates = peak_rates("zhang", 12, 2e-5, decay=0.95)
    assert rates[1] == pytest.approx(1.0807e-5, rel=1e-4)
    assert rates[0] == pytest.approx(1.0267e-5, rel=1e-4)


def test_sun_with_12_layers() -> None:
    rates = peak_rates("sun", 12, 2e-5, decay=0.95)
    assert rates[1] == pytest.approx(1.1376e-5, rel=1e-4)
    assert rates[-2] == 2e-5
    assert rates[0] == rates[-1] == 2e-5


def test_chang_with_12_layers() -> None:
    """Her notebook: top layer 3.5e-6, .9 per layer, head and pooler 3.6e-6."""
    rates = peak_rates("chang", 12, 3.5e-6, decay=0.9, head_learning_rate=3.6e-6)
    assert rates[-1] == 3.6e-6
    assert rates[-2] == 3.5e-6
    assert rates[1] == pytest.approx(1.0983e-6, rel=1e-4)
    assert rates[0] == pytest.approx(9.885e-7, rel=1e-4)
    assert peak_rates("chang", 12, 3.5e-6, decay=0.9)[-1] == 3.5e-6


def test_grouped_with_12_layers() -> None:
    """Her notebook: embeddings and layers 0-3 at 1e-6, 4-7, 8-11, head; 1, 1.75, 3.5, 3.6."""
    rates = peak_rates("grouped", 12, 1e-6)
    expected = [1e-6] + [1e-6] * 4 + [1.75e-6] * 4 + [3.5e-6] * 4 + [3.6e-6]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert peak_rates("grouped", 12, 1e-6, head_learning_rate=5e-6)[-1] == 5e-6


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (4, (2, 1, 1)), (8, (3, 3, 2)), (24, (8, 8, 8))],
)
def test_groups_of_a_number_that_three_does_not_divide(n: int, sizes: tuple[int, ...]) -> None:
    """Three contiguous groups; what is over goes to the lower ones."""
    rates = peak_rates("grouped", n, 1.0)[1:-1]
    assert tuple(rates.count(multiplier) for multiplier in (1.0, 1.75, 3.5)) == sizes
    assert rates == sorted(rates)


@given(st.integers(1, 48), st.floats(0.05, 1.0), st.floats(1e-8, 1e-1))
def test_numberings_differ_by_powers_of_the_decay(n: int, decay: float, rate: float) -> None:
    """Zhang's layers are Chang's one power lower; all but the ends of Sun's are Chang's."""
    zhang, chang, sun = (
        np.array(peak_rates(s, n, rate, decay=decay)) for s in ("zhang", "chang", "sun")
    )
    np.testing.assert_allclose(zhang[:-1], chang[:-1] * decay, rtol=1e-12)
    np.testing.assert_allclose(sun[1:-1], chang[1:-1], rtol=1e-12)
    assert bool(np.all(np.diff(zhang) >= 0))


def test_a_scheme_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="scheme is 'devlin'; allowed: zhang"):
        peak_rates("devlin", 12, 1.0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_parameter_is_in_one_group_at_the_rate_of_its_depth(
    architecture: str, tmp_path: object
) -> None:
    model = tiny_weights(tmp_path, architecture).model  # type: ignore[arg-type]
    where = depths(model)
    groups = parameter_groups(model, lambda name: where[name])
    names = [name for group in groups for name in group.names]
    assert sorted(names) == sorted(dict(model.named_parameters()))
    for group in groups:
        assert {where[name] for name in group.names} == {group.column}
    for name, depth in where.items():
        layer = [int(part) for part in name.split(".") if part.isdigit()]
        if layer:
            assert depth == layer[0] + 1
        elif "embeddings" in name:
            assert depth == 0
        else:
            assert depth == 3
            assert "classifier" in name or "pooler" in name


def test_a_tied_parameter_is_in_one_group() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low = nn.Linear(3, 3, bias=False)
            self.high = nn.Linear(3, 3, bias=False)
            self.high.weight = self.low.weight

    with torch.random.fork_rng():
        groups = parameter_groups(Tied(), lambda name: int(name.startswith("high")))
    assert [group.names for group in groups] == [["low.weight"]]


def test_all_depths_rise_and_fall_in_proportion() -> None:
    """Warm-up from 0 over 50 steps, then down to 0 at the end, whatever the depth."""
    recipe = RecipeSpec(
        batch_size=10, epochs=20, optimizer=OptimizerSpec(learning_rate=2e-5),
        schedule=ScheduleSpec(warmup_steps=50), layer_rates=LayerRatesSpec("zhang", decay=0.95),
    )  # fmt: skip
    plan = make_plan(recipe, EvaluationSpec(), 100)
    rates = learning_rates(recipe, plan, 12)
    assert rates.shape == (200, 14)
    assert set(rates[0]) == {0.0}
    np.testing.assert_allclose(rates[50], peak_rates("zhang", 12, 2e-5, decay=0.95), rtol=1e-12)
    # At step 200, which is never made, it would be 0: a straight line through the last two.
    np.testing.assert_allclose(2 * rates[-1] - rates[-2], 0.0, atol=1e-18)
    np.testing.assert_allclose(
        rates[1:] / rates[1:, -1:], np.tile(rates[50] / rates[50, -1], (199, 1))
    )


def test_one_rate_for_all_is_one_column() -> None:
    recipe = RecipeSpec(batch_size=10)
    rates = learning_rates(recipe, make_plan(recipe, EvaluationSpec(), 100), 12)
    assert rates.shape == (30, 1)
