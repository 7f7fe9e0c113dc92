"""`Settings`: a configuration that Hydra composed, as checked and typed specifications."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from seedlab.config.study_name import check_study_name
from seedlab.errors import SeedlabError, nearest
from seedlab.fields import hints_of, section_in, types_in
from seedlab.spec import build as plain_values
from seedlab.spec.early_stopping import EarlyStoppingSpec, TrainSpec
from seedlab.spec.pack import EngineSpec
from seedlab.spec.recipe import RecipeSpec
from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec, ModelSpec, RunSpec, Seeds, TaskSpec
from seedlab.tasks.registry import READERS

SECTIONS: dict[str, type] = {
    "task": TaskSpec,
    "model": ModelSpec,
    "recipe": RecipeSpec,
    "evaluation": EvaluationSpec,
    "diagnostics": DiagnosticsSpec,
    "seed": Seeds,
    "engine": EngineSpec,
    "train": TrainSpec,
    "early_stopping": EarlyStoppingSpec,
}
"""Sections of a configuration and the dataclasses that define their keys and defaults."""


OTHER_KEYS = ("study", "studies_dir", "dry")


T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """The typed settings of one composed configuration.

    Parameters
    ----------
    spec : RunSpec
        The run, without its content hashes.
    engine : EngineSpec
    train : TrainSpec
    early_stopping : EarlyStoppingSpec
    study : pathlib.Path
        The study's folder.
    studies : pathlib.Path
        The folder of studies.
    dry : bool
        Print the plan and train nothing.
    """

    spec: RunSpec
    engine: EngineSpec
    train: TrainSpec
    early_stopping: EarlyStoppingSpec
    study: Path
    studies: Path
    dry: bool


def defaults() -> dict[str, Any]:
    """Return every key of every section with its default, for Hydra to compose upon."""
    return {name: dataclasses.asdict(kind()) for name, kind in SECTIONS.items()}


def read_settings(cfg: DictConfig) -> Settings:
    """Turn a composed configuration into typed settings.

    Raises
    ------
    SeedlabError
        For an unknown key, a value of the wrong type or out of range; it names the key,
        the value, the allowed ones and the nearest valid name.
    """
    values = {str(key): cfg[key] for key in cfg if key != "hydra"}
    allowed = [*SECTIONS, *OTHER_KEYS]
    for key in values:
        if key not in allowed:
            raise SeedlabError(
                f"configuration key '{key}' is not known; allowed: {', '.join(allowed)}."
                f"{nearest(str(key), allowed)}"
            )
    built: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        node = values.get(name)
        plain = OmegaConf.to_container(node, resolve=True) if node is not None else {}
        built[name] = build(kind, typing.cast("Mapping[str, Any]", plain), name)
    model, task = _placed(built["model"]), _placed(built["task"])
    if model.path is not None and model.name in ("embedded", ""):
        model = dataclasses.replace(model, name=Path(model.path).name)
    reader = READERS.get(task.reader)
    if task.path is None and reader is not None and reader.path == "working folder":
        task = dataclasses.replace(task, path=str(_here()))
    study = values.get("study")
    check_study_name("" if study is None else str(study))
    spec = RunSpec(
        task=task,
        model=model,
        recipe=built["recipe"],
        evaluation=built["evaluation"],
        diagnostics=built["diagnostics"],
        seeds=built["seed"].resolved(),
    )
    studies = Path(str(values.get("studies_dir", "studies")))
    return Settings(
        spec=spec,
        engine=built["engine"],
        train=built["train"],
        early_stopping=built["early_stopping"],
        study=_from_here(studies / str(study)),
        studies=_from_here(studies),
        dry=_convert(bool, values.get("dry", False), "dry"),
    )


P = TypeVar("P", TaskSpec, ModelSpec)


def _placed(spec: P) -> P:
    """Return a specification with its path absolute, so that a record holds it."""
    if spec.path is None:
        return spec
    return dataclasses.replace(spec, path=str(_here() / Path(spec.path).expanduser()))


def _here() -> Path:
    """Return the folder in which the command was given (a job may have one of its own)."""
    given = HydraConfig.get().runtime.cwd if HydraConfig.initialized() else None
    return Path(given or Path.cwd())


def _from_here(path: Path) -> Path:
    """Return a path that means the same in a job that has moved to a folder of its own."""
    return path if _here() == Path.cwd() else _here() / path


def known_keys() -> list[str]:
    """Return every key that an override may set, in dotted form."""

    def walk(values: Mapping[str, Any], prefix: str) -> list[str]:
        keys = []
        for key, value in values.items():
            keys.append(prefix + key)
            if isinstance(value, dict):
                keys += walk(value, f"{prefix}{key}.")
        return keys

    return [*walk(defaults(), ""), *OTHER_KEYS, "grid", "experiment"]


@cache
def number_keys() -> frozenset[str]:
    """Return the keys whose value is a number, in dotted form."""

    def walk(kind: type, prefix: str) -> Iterator[str]:
        for name, hint in hints_of(kind).items():
            if (section := section_in(hint)) is not None:
                yield from walk(section, f"{prefix}{name}.")
            elif {*types_in(hint)} <= {int, float}:
                yield prefix + name

    return frozenset(key for name, kind in SECTIONS.items() for key in walk(kind, f"{name}."))


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a specification from plain values, checking every key and type.

    Parameters
    ----------
    kind : dataclass type
    values : mapping
        Keys may be missing: they take their defaults.
    where : str
        Dotted name of the section, for messages.

    Returns
    -------
    an instance of `kind`

    Raises
    ------
    SeedlabError
    """
    return plain_values.build(kind, values, where, _convert, _refuse)


def _refuse(key: str, value: Any, where: str, allowed: Mapping[str, Any]) -> None:
    raise SeedlabError(
        f"configuration key '{where}.{key}' is not known; allowed in '{where}': "
        f"{', '.join(allowed)}.{nearest(key, allowed)}"
    )


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the type that `hint` asks for."""
    optional = types.NoneType in typing.get_args(hint)
    if value is None and optional:
        return None
    wanted = types_in(hint)[0]
    if section_in(hint) is not None:
        pass  # A section was built before; any other value in its place is refused below.
    elif typing.get_origin(wanted) is tuple:
        if isinstance(value, list | tuple):
            (item_type, _) = typing.get_args(wanted)
            return tuple(_convert(item_type, item, where) for item in value)
    elif wanted is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif wanted is bool:
        if isinstance(value, bool):
            return value
    elif wanted is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    expected = _NAMES.get(wanted, "a list" if typing.get_origin(wanted) is tuple else "a section")
    nothing = " or null" if optional else ""
    raise SeedlabError(f"{where}={value!r} is of the wrong type; it must be {expected}{nothing}.")
