"""`Effect`: the effect of a technique on the loaded model, its parameters and its steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from seedlab.models.heads import HeadChoice
from seedlab.models.lora import LoraOptions
from seedlab.techniques.technique import Technique
from seedlab.training.techniques.step_effect import StepEffect

Settings = TypeVar("Settings", bound=Technique)
Floats = npt.NDArray[np.float64]


class ModelOptions(NamedTuple):
    """Arguments of `seedlab.models.pretrained.load_weights` that come from the recipe.

    Parameters
    ----------
    dropout : float or None
        Probability for every site; None: the model's own.
    head : HeadChoice or None
        None: the architecture's own.
    low_rank : LoraOptions or None
    """

    dropout: float | None = None
    head: HeadChoice | None = None
    low_rank: LoraOptions | None = None


class LoadedModel(NamedTuple):
    """A loaded model and its parameters, from which an effect chooses.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    names : tuple of str
        Names of all parameters.
    new : collection of str
        Names of the parameters that no checkpoint provides.
    depths : mapping of name to int
        See `seedlab.models.depth.depths`; empty unless an effect is `Effect.by_depth`.
    """

    model: PreTrainedModel
    names: tuple[str, ...]
    new: Collection[str]
    depths: Mapping[str, int]


class ParameterChanges(NamedTuple):
    """The changes that an effect makes to parameters, by name.

    Parameters
    ----------
    fresh : tuple of str
        Parameters that are re-initialised from the init stream.
    frozen : tuple of str
        Parameters that are not trained.
    without_dropout : tuple of str
        Names of modules that have no dropout in training.
    """

    fresh: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    without_dropout: tuple[str, ...] = ()


class SubstituteWeights(Protocol):
    """Weights that a model computes with in training, instead of its own."""

    def masks(self, step: int) -> dict[str, torch.Tensor]:
        """Return the random masks of update number `step`, by parameter name."""
        ...

    def mixed(self, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the weights to compute with, by name; gradients reach the model's own."""
        ...


class Effect(Generic[Settings]):
    """The effect of a technique that is on. Every hook does nothing unless it is overridden.

    Parameters
    ----------
    settings : Technique
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def by_depth(self) -> bool:
        """Whether the effect needs the depths of parameters."""
        return False

    @property
    def packed_form(self) -> str:
        """Key of its parametrization in the packed engine; empty without one.

        `seedlab.engines.packed.encoder.parametrizations.PARAMETRIZATIONS` has the keys. A technique
        needs one if a pass computes with other weights than the trained ones. The serial engine
        then calls `substitute`, or the loaded model does the computation.
        """
        return ""

    def model_options(self, options: ModelOptions) -> ModelOptions:
        """Return the options with which the model is loaded."""
        return options

    def peak_rates(self, peaks: Floats, n_layers: int) -> Floats:
        """Return the peak learning rate of every depth.

        Parameters
        ----------
        peaks : (depth,) array
            Peak rates without the technique; a single one if all depths have one rate.
        n_layers : int
            Layers of the encoder; at least 1 if the effect is `by_depth`.
        """
        return peaks

    def rates(self, rates: Floats, factors: Floats, averaging_start: int | None) -> Floats:
        """Return the learning rates of every update and depth.

        Parameters
        ----------
        rates : (step, depth) array
            Rates without the technique.
        factors : (depth,) array
            Peak rates, divided by the recipe's learning rate.
        averaging_start : int or None
            See `seedlab.training.step_plan.StepPlan`.
        """
        return rates

    def on_parameters(self, loaded: LoadedModel) -> ParameterChanges:
        """Return the technique's changes to parameters.

        Raises
        ------
        SeedlabError
            When the model is not one that the technique can be used on.
        """
        return ParameterChanges()

    def on_steps(self, loaded: LoadedModel, averaging_start: int | None) -> StepEffect | None:
        """Return the technique's effect on every update; None without one."""
        return None

    def substitute(
        self,
        model: nn.Module,
        trained: Collection[str],
        key: Callable[[str], tuple[int, int]],
    ) -> SubstituteWeights | None:
        """Return the weights that the serial engine computes with in training; None: its own.

        Parameters
        ----------
        model : torch.nn.Module
            It has the run's initial weights.
        trained : collection of str
            Names of the parameters that are trained.
        key : callable
            Maps the name of a stream of random numbers to the run's key.
        """
        return None


AnyEffect = Effect[Any]
