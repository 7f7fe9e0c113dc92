"""The overrides of `seedlab run`, checked and completed before Hydra reads them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from seedlab.config.experiments import experiment_overrides, find_option
from seedlab.config.settings import known_keys
from seedlab.config.sweeps import check_sweep, grid_sweeps, is_size, unreadable
from seedlab.errors import SeedlabError, nearest
from seedlab.paths import conf_folder


def rewrite(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra.

    - ``model=NAME`` for a NAME without a file in conf/model becomes a hub name,
    - ``experiment=NAME`` and ``experiment=PATH.yaml`` become the choice of a study's file,
    - ``grid=AxB`` becomes A weight-init seeds x B data-order seeds,
    - without ``study=`` the study is named after the task and the model,
    - an unknown key is refused with the nearest name, and so is a key with two values in a row.

    Parameters
    ----------
    arguments : sequence of str
        Flags and overrides of the command line.

    Raises
    ------
    SeedlabError
        An override can't be read, its key or its choice does not exist, a sweep has no values, the
        study's name can't be derived, or a grid was asked for without ``-m``.
    """
    flags = [a for a in arguments if a.startswith("-") or "=" not in a]
    overrides = [a for a in arguments if a not in flags]
    # Hydra checks all other words, for instance the value of a flag.
    known = known_keys()
    values: dict[str, str] = {}
    rest: list[str] = []
    sweeps: dict[str, str] = {}
    swept: list[str] = []
    own_files = any("--config-dir" in a or a == "-cd" or "searchpath" in a for a in arguments)
    _check_repeated(overrides)
    for line in overrides:
        key, _, value = line.partition("=")
        swept += [line] if _check_key(line, key, known).is_sweep_override() else []
        values[key.lstrip("+~")] = value
        sweeps = {} if key == "grid" else sweeps
        if key == "experiment":
            rest += experiment_overrides(value, find_option(arguments, "--config-dir", "-cd"))
        elif key == "model" and any(not _is_option("model", v) for v in value.split(",")):
            rest += ["model=hub", f"model.name={value}"]
        elif key == "grid" and not _is_option(key, value) and (is_size(value) or not own_files):
            sweeps = grid_sweeps(value)
            rest.append("grid=single")
        else:
            _check_option(key, value, own_files)
            rest.append(line)
    if sum("hydra.searchpath" in line for line in rest) > 1:
        raise SeedlabError(
            f"experiment={values['experiment']} and hydra.searchpath can't be combined, because a "
            "file's folder is searched through it; use --config-dir=FOLDER and experiment=NAME."
        )
    grid = values.get("grid", "single")
    if grid != "single" and not {"-m", "--multirun"} & set(flags):
        raise SeedlabError(
            f"grid={grid} is a sweep, and without -m (--multirun) one run would be trained; add -m."
        )
    if swept and "hydra.mode" not in values and not {"-m", "--multirun"} & set(flags):
        raise SeedlabError(
            f"{swept[0]} is a sweep, and without -m (--multirun) one run would be trained; add -m."
        )
    if "study" not in values and "experiment" not in values:
        rest.append(f"study={'unnamed' if only_asks(flags) else _default_study(values)}")
    # As with the files of conf/grid, seeds come first, and those of the command line win.
    seeds = [f"{key}={sweep}" for key, sweep in sweeps.items() if key not in values]
    return [*flags, *seeds, *rest]


def only_asks(arguments: Sequence[str]) -> bool:
    """Return whether a flag asks Hydra to print something and to run nothing."""
    return bool({"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i"} & {*arguments})


def plain_value(arguments: Sequence[str], key: str) -> str | None:
    """Return the text that an override gives a key; None without one, for a sweep or an interpolation."""
    given = [line for line in arguments if line.partition("=")[0].lstrip("+") == key]
    if not given:
        return None
    override = _parse(given[-1])
    value = override.value()
    text = value.text if isinstance(value, QuotedString) else str(value)
    return None if override.is_sweep_override() or "${" in text else text


def _default_study(values: dict[str, str]) -> str:
    """Return TASK-MODEL as the study's name; refused where either is swept."""
    task = values.get("task.name") or values.get("task", "acceptability")
    model = values.get("model.name") or values.get("model", "embedded")
    path = values.get("model.path")
    if path and "model.name" not in values:
        model = Path(path).name
    for key, value in (("task", task), ("model", model)):
        if "," in value or "(" in value:
            raise SeedlabError(
                f"{key}={value} sweeps over several values, so the study can't be named after it; "
                "give it a name with study=NAME."
            )
    return f"{task}-{model.replace('/', '--')}"


def _parse(line: str) -> Override:
    """Return an override as Hydra reads it."""
    try:
        return OverridesParser.create().parse_override(line)
    except HydraException as error:
        raise unreadable(line, str(error)) from error


def _check_repeated(overrides: Sequence[str]) -> None:
    """Refuse one key several times in a row, of which Hydra would take the last.

    A shell makes it of ``seed.init={0..4}``. Elsewhere in a command a second value may be meant: a script
    appends the words of its user.
    """
    for first, second in itertools.pairwise(overrides):
        key, _, value = first.partition("=")
        again, _, other = second.partition("=")
        if key == again and value != other:
            raise SeedlabError(
                f"{key} is given twice in a row, as {value} and as {other}, and Hydra would take the last. "
                f"Give it once; a sweep is -m {key}={value},{other}, and seeds 0 to 4 are 'range(0,5)'."
            )


def _check_key(line: str, key: str, known: list[str]) -> Override:
    """Return an override; refuse one that can't be read, or whose key does not exist."""
    override = _parse(line)
    check_sweep(line, override)
    bare = key.lstrip("+~").split("@")[0]
    if bare.startswith(("hydra.", "hydra/")) or bare == "hydra" or key.startswith(("+", "~")):
        return override
    if bare not in known:
        raise SeedlabError(
            f"configuration key '{bare}' is not known.{nearest(bare, known)} "
            "`seedlab run --cfg job` prints all keys."
        )
    return override


def _check_option(group: str, value: str, own_files: bool) -> None:
    """Refuse a choice that a group does not have.

    Parameters
    ----------
    group : str
        A folder of conf/, or any other key, for which nothing is checked.
    value : str
        One choice, or several with commas between.
    own_files : bool
        The user adds configuration files, so that only Hydra knows all choices.
    """
    there = sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
    # Only Hydra knows the choices of choice(...) and glob(...).
    for name in value.split(",") if there and not own_files and "(" not in value else []:
        if name not in there:
            raise SeedlabError(
                f"{group}={name} does not exist; allowed: {', '.join(there)}.{nearest(name, there)}"
            )


def _is_option(group: str, name: str) -> bool:
    return (conf_folder() / group / f"{name}.yaml").is_file()
