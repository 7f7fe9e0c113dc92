"""What `seedlab run` does to its overrides before Hydra sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from seedlab.config.settings import known_keys
from seedlab.errors import SeedlabError, nearest
from seedlab.paths import conf_folder, experiments_folder


def rewrite(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra.

    - ``model=NAME`` for a NAME without a file in conf/model becomes a hub name,
    - ``experiment=NAME`` becomes the study in ``experiments/NAME/study.yaml``, and
      ``experiment=NAME/PART`` that in ``experiments/NAME/PART.yaml``,
    - without ``study=`` the study is named after the task and the model,
    - an unknown key is refused with the nearest name.

    Parameters
    ----------
    arguments : sequence of str
        Of the command line: flags and overrides.

    Raises
    ------
    SeedlabError
    """
    flags = [a for a in arguments if a.startswith("-") or "=" not in a]
    overrides = [a for a in arguments if a not in flags]
    # Anything that is no override (a flag's value, say) is left to Hydra to judge.
    known = known_keys()
    values: dict[str, str] = {}
    rest: list[str] = []
    own_files = any("--config-dir" in a or a == "-cd" or "searchpath" in a for a in arguments)
    for line in overrides:
        key, _, value = line.partition("=")
        _check_key(line, key, known)
        values[key.lstrip("+~")] = value
        if key == "experiment":
            rest.append(_experiment(value))
        elif key == "model" and any(not _is_option("model", v) for v in value.split(",")):
            rest += ["model=hub", f"model.name={value}"]
        else:
            _check_option(key, value, own_files)
            rest.append(line)
    grid = values.get("grid", "single")
    if grid != "single" and not {"-m", "--multirun"} & set(flags):
        raise SeedlabError(
            f"grid={grid} is a sweep, and without -m (--multirun) one run would be trained; add -m."
        )
    asks = only_asks(flags)
    if "study" not in values and "experiment" not in values and not asks:
        rest.append(f"study={_default_study(values)}")
    elif "study" not in values and asks and "experiment" not in values:
        rest.append("study=unnamed")
    return [*flags, *rest]


def only_asks(arguments: Sequence[str]) -> bool:
    """Say whether the command prints something about itself and writes nothing."""
    return bool({"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i"} & {*arguments})


def plain_value(arguments: Sequence[str], key: str) -> str | None:
    """Return what an override sets a key to; None without one, for a sweep or an interpolation."""
    given = [line for line in arguments if line.partition("=")[0].lstrip("+") == key]
    if not given:
        return None
    override = OverridesParser.create().parse_override(given[-1])
    value = override.value()
    text = value.text if isinstance(value, QuotedString) else str(value)
    return None if override.is_sweep_override() or "${" in text else text


def _default_study(values: dict[str, str]) -> str:
    """Return TASK-MODEL; refuse to guess where either is swept."""
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


def _check_key(line: str, key: str, known: list[str]) -> None:
    """Refuse an override of a key that does not exist."""
    OverridesParser.create().parse_override(line)
    bare = key.lstrip("+~").split("@")[0]
    if bare.startswith(("hydra.", "hydra/")) or bare == "hydra" or key.startswith(("+", "~")):
        return
    if bare not in known:
        raise SeedlabError(
            f"configuration key '{bare}' is not known.{nearest(bare, known)} "
            "`seedlab run --cfg job` prints all keys."
        )


def _check_option(group: str, value: str, own_files: bool) -> None:
    """Refuse a choice that a group does not have; whoever brings own files is left to Hydra."""
    there = sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
    for name in value.split(",") if there and not own_files else []:
        if name not in there:
            raise SeedlabError(
                f"{group}={name} does not exist; allowed: {', '.join(there)}.{nearest(name, there)}"
            )


def _experiment(value: str) -> str:
    """Return the override that adds a ready study, if there is one of that name."""
    folders = [Path("experiments"), experiments_folder()]
    files = sorted({p for folder in folders for p in folder.glob("*/*.yaml")})
    there = {p.parent.name if p.stem == "study" else f"{p.parent.name}/{p.stem}": p for p in files}
    if value not in there:
        raise SeedlabError(
            f"experiment={value} does not exist; there are: {', '.join(there) or 'none'}."
            f"{nearest(value, there)}"
        )
    return f"+{there[value].parent.name}={there[value].stem}"


def _is_option(group: str, name: str) -> bool:
    return (conf_folder() / group / f"{name}.yaml").is_file()
