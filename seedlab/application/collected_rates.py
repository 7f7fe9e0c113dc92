"""Learning rates of a dry run's recipes, collected for a figure.

seedlab draws nothing here: the verb `run` hands what was collected to `analysis`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

from seedlab.fields import flat
from seedlab.spec.recipe import RecipeSpec
from seedlab.store.tables.rates import trained_rates
from seedlab.store.tables.setting_names import differences

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class DrySchedule:
    """The learning rates of one recipe.

    Parameters
    ----------
    task : str
    recipe : RecipeSpec
    rates : (step, depth) array of float64
        0 where a depth is frozen; a single depth where all have one rate.
    """

    task: str
    recipe: RecipeSpec
    rates: Floats


_collected: ContextVar[list[DrySchedule] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_rates() -> Iterator[list[DrySchedule]]:
    """Collect the learning rates of every dry run inside the block."""
    found: list[DrySchedule] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def collect(
    task: str, schedules: Sequence[tuple[RecipeSpec, Floats]], sizes: Sequence[int]
) -> None:
    """Add the schedules of some recipes, where a block collects them.

    Parameters
    ----------
    task : str
    schedules : sequence of (recipe, (step, depth) rates)
    sizes : sequence of int
        Trained numbers per depth; a single one where depths are not known.
    """
    found = _collected.get()
    if found is None:
        return
    for recipe, rates in schedules:
        found.append(DrySchedule(task, recipe, trained_rates(rates, sizes)))


def labelled(schedules: Sequence[DrySchedule]) -> list[tuple[str, Floats]]:
    """Return the different schedules, each with the tasks and recipes that have it.

    Returns
    -------
    list of (label, (step, depth) rates)
        A recipe's label has its name and what differs from the others of that name.
    """
    values: dict[str, dict[str, dict[str, object]]] = {}
    for number, schedule in enumerate(schedules):
        of_name = values.setdefault(schedule.recipe.name, {})
        of_name[str(number)] = flat({"recipe": dataclasses.asdict(schedule.recipe)})
    texts: dict[str, list[str]] = {}
    for of_name in values.values():
        alike = len({str(one) for one in of_name.values()}) < 2
        texts |= {number: [] for number in of_name} if alike else _differences(of_name)
    found: dict[tuple[bytes, int], tuple[list[str], Floats]] = {}
    for number, schedule in enumerate(schedules):
        label = ", ".join([schedule.task, schedule.recipe.name, *texts[str(number)]])
        key = (schedule.rates.tobytes(), schedule.rates.shape[1])
        labels = found.setdefault(key, ([], schedule.rates))[0]
        labels += [label] if label not in labels else []
    return [("; ".join(labels), rates) for labels, rates in found.values()]


def _differences(values: dict[str, dict[str, object]]) -> dict[str, list[str]]:
    """As `differences`, where equal recipes, of several tasks, have equal texts."""
    first: dict[str, str] = {}
    for number, one in values.items():
        first.setdefault(str(one), number)
    texts = differences({number: values[number] for number in first.values()})
    return {number: texts[first[str(one)]] for number, one in values.items()}
