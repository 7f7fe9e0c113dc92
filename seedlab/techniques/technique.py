"""`Technique`: the settings of one technique, their limits, and its row in the documentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from seedlab.allowed import Allowed
from seedlab.errors import SeedlabError


class Documentation(NamedTuple):
    """A technique's row in the table of docs/how-to/recipes.md, in Markdown.

    Parameters
    ----------
    name : str
    switch : str
        The setting that switches it on.
    values : str
        Its other settings with their defaults.
    source : str
        Publication that introduced it.
    """

    name: str
    switch: str
    values: str
    source: str

    def row(self) -> str:
        """Return the row as a line of Markdown."""
        return f"| {' | '.join(self)} |"


class OtherSettings(Protocol):
    """Fields of the recipe outside the technique's own section that `Technique.check` may read."""

    @property
    def dropout(self) -> float | None:
        """Probability of dropout; None: the model's own."""
        ...

    @property
    def dropout_active(self) -> str:
        """When dropout applies."""
        ...


@dataclass(frozen=True)
class Technique:
    """The settings of a technique: the base of a frozen dataclass with a default for every field.

    A technique is off while the field `switch` has its default. Its other fields then have no effect,
    so a sweep can switch it on and off.

    Attributes
    ----------
    section : str
        Its field of `seedlab.spec.recipe.RecipeSpec`.
    switch : str
        The field that switches it on.
    documentation : Documentation
    preset : str
        A recipe of conf/recipe that switches it on; empty if there is none.
    limits : mapping of field to Allowed
    effect : str
        ``module:Class`` of its `seedlab.training.techniques.effect.Effect`, imported when the
        technique is on; empty if it changes nothing in the model or its training.
    per_run : bool
        Whether the packed engine can train runs with different values in one column. It can't if
        the technique decides which parameters are trained, or which weights a pass computes with.
    changes_rates : bool
        Whether its effect changes learning rates.
    vectors : int
        Vectors as long as its weights that a run keeps for the technique: its step effect's buffers.
    """

    section: ClassVar[str]
    switch: ClassVar[str]
    documentation: ClassVar[Documentation]
    preset: ClassVar[str] = ""
    limits: ClassVar[Mapping[str, Allowed]] = {}
    effect: ClassVar[str] = ""
    per_run: ClassVar[bool] = False
    changes_rates: ClassVar[bool] = False
    vectors: ClassVar[int] = 0

    @property
    def is_on(self) -> bool:
        """Whether the technique is used."""
        return bool(getattr(self, self.switch) != self._off())

    @property
    def switched_to(self) -> str:
        """The value of the switch, as a user writes it."""
        return _text(getattr(self, self.switch))

    @property
    def switched_on_by(self) -> str:
        """The setting that switches the technique on, as a user writes it."""
        return f"recipe.{self.section}.{self.switch}={self.switched_to}"

    @property
    def switched_off_by(self) -> str:
        """The setting that would switch the technique off."""
        return f"recipe.{self.section}.{self.switch}={_text(self._off())}"

    def conflicts(self) -> Mapping[str, str]:
        """Return the techniques that can't be combined with this one, and why.

        Returns
        -------
        mapping of str to str
            A key is a section, or a section and the value of its switch: ``adapter=lora``.
        """
        return {}

    def check(self, recipe: OtherSettings) -> None:
        """Refuse values that contradict each other or the rest of the recipe.

        Raises
        ------
        SeedlabError
        """

    def check_model(self, n_layers: int) -> None:
        """Refuse values that a model of so many layers can't have.

        Raises
        ------
        SeedlabError
        """

    def averaging_start(self, steps_per_epoch: int, total_steps: int) -> int | None:
        """Return the update from which on an average of the weights is scored in their place.

        Updates are counted from 0; None if the technique averages nothing.

        Raises
        ------
        SeedlabError
            When the run ends before that update.
        """
        return None

    def serial_only(self, others: Mapping[str, Technique], n_layers: int | None) -> str:
        """Return the reason why the packed engine can't compute the technique; empty if it can.

        Parameters
        ----------
        others : mapping of section to Technique
            The techniques that are on.
        n_layers : int or None
            Layers of the model; None if they are not known.
        """
        return ""

    def _off(self) -> Any:
        return next(f.default for f in dataclasses.fields(self) if f.name == self.switch)


def check_layers(key: str, layers: int, there: int) -> None:
    """Refuse a number of layers that the model does not have.

    Parameters
    ----------
    key : str
        Name of the number in the configuration.
    layers, there : int
        The number, and the layers of the model.

    Raises
    ------
    SeedlabError
    """
    if layers > there:
        raise SeedlabError(
            f"{key}={layers} is more than the {there} layers of the model; it must be between 0 "
            f"and {there}."
        )


def _text(value: Any) -> str:
    """Return a value as a user writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "0" if value == 0 else str(value)
