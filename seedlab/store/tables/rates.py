"""The table `rates`: the learning rate of every update and depth, setting by setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seedlab.spec.recipe import active_techniques
from seedlab.store.tables.setting_names import NamedSetting

TRAINED = "trained"
"""Entry of a run's provenance: trained numbers per depth (`seedlab.training.trained_sizes`)."""


def rate_rows(setting: NamedSetting, schema: pa.Schema) -> pa.Table:
    """Return the learning rates of a setting, steps counted from 1.

    Parameters
    ----------
    setting : NamedSetting
    schema : pyarrow.Schema
        Columns ``setting, step, depth, rate``.

    Returns
    -------
    pyarrow.Table
        Without a depth where all depths have one rate. A frozen depth has rate 0. Empty where the
        records do not tell the depths that the rates differ by: those of earlier releases.
    """
    rates = setting_rates(setting)
    if rates is None:
        return schema.empty_table()
    steps, depths = rates.shape
    depth = [None] if depths == 1 else range(depths)
    columns: dict[str, Any] = {
        "setting": pa.array([setting.spec.setting] * rates.size, pa.string()),
        "step": pa.array(np.repeat(np.arange(1, steps + 1), depths), pa.int64()),
        "depth": pa.array([*depth] * steps, pa.int64()),
        "rate": pa.array(rates.ravel(), pa.float64()),
    }
    return pa.table([columns[name] for name in schema.names], schema)


def setting_rates(setting: NamedSetting) -> npt.NDArray[np.float64] | None:
    """Return the (step, depth) rates of a setting; one column where all depths have one rate."""
    from seedlab.training.step_plan import make_plan

    recipe, record = setting.spec.recipe, setting.records[0]
    sizes = np.array(record.provenance.get(TRAINED) or (), dtype=np.int64)
    if not record.train_examples or setting.spec.unknown.values:
        return None
    plan = make_plan(recipe, setting.spec.evaluation, record.train_examples)
    if any(technique.changes_rates for technique in active_techniques(recipe).values()):
        if not len(sizes):
            return None
        # The effects of techniques import torch, which takes seconds.
        from seedlab.training.learning_rates import learning_rates

        rates = learning_rates(recipe, plan, len(sizes) - 2)
    else:
        rates = np.outer(plan.multipliers, [recipe.optimizer.learning_rate])
    if not len(sizes):
        freezing = recipe.freeze.is_on or recipe.features.is_on
        return None if freezing else rates
    return trained_rates(rates, sizes)


def trained_rates(
    rates: npt.NDArray[np.float64], sizes: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the (step, depth) rates with 0 where a depth is frozen; one column where all are alike.

    Parameters
    ----------
    rates : (step, depth) array of float64
        A single depth if all have one rate.
    sizes : (depth,) sequence of int
        Trained numbers per depth.
    """
    shape = (len(rates), len(sizes))
    by_depth = np.where(np.array(sizes) > 0, np.broadcast_to(rates, shape), 0.0)
    alike = bool((by_depth == by_depth[:, :1]).all())
    return by_depth[:, :1] if alike else by_depth
