"""Every key of a configuration is explained, by the text below its field."""

from __future__ import annotations

import pytest
from hydra.core.hydra_config import HydraConfig

from seedlab.application import run_help
from seedlab.commands.cli import main
from seedlab.config.keys import Key, field_meanings, key_sections
from seedlab.config.settings import OTHER_KEYS, defaults
from seedlab.spec.early_stopping import TrainSpec


@pytest.fixture(autouse=True)
def _outside_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the configuration that a command left behind in this process."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    values = {**defaults(), "study": "s", "studies_dir": "studies", "dry": False}
    return {key.name: key for section in key_sections(values) for key in section.keys}


def test_every_key_has_a_meaning_and_allowed_values(keys: dict[str, Key]) -> None:
    def leaves(values: dict[str, object], prefix: str) -> set[str]:
        found: set[str] = set()
        for name, value in values.items():
            full = f"{prefix}{name}"
            found |= leaves(value, f"{full}.") if isinstance(value, dict) else {full}
        return found

    hydras = {name for name in keys if name.startswith("hydra.")}
    assert set(keys) - hydras == leaves(defaults(), "") | set(OTHER_KEYS)
    assert not [key.name for key in keys.values() if not (key.meaning and key.allowed)]
    assert not [key.name for key in keys.values() if "None" in key.meaning]


def test_what_is_said_of_a_key(keys: dict[str, Key]) -> None:
    assert keys["recipe.optimizer.beta1"].allowed == "number at least 0 and below 1"
    assert keys["recipe.clip.mode"].allowed == "global, tensor, none"
    assert keys["task.folds"].allowed == "whole number at least 2, or null"
    assert keys["task.labels"].allowed == "list, or null"
    assert keys["recipe.layer_rates.multipliers"].default == "[1,1.75,3.5,3.6]"
    assert keys["recipe.dropout"].default == "null"
    assert field_meanings(TrainSpec)["checkpoint_every"].endswith("loses no more; null: none")


def test_the_launchers_and_the_searchs_keys_are_among_them(keys: dict[str, Key]) -> None:
    slots = keys["hydra.launcher.slots"]
    assert (slots.default, slots.allowed) == ("null", "whole number, or null")
    assert "Worker processes at a time" in slots.meaning
    assert keys["hydra.launcher.gpus"].allowed == "list, or null"
    assert keys["hydra.sweeper.params"].default == "{}"
    assert "hydra.launcher._target_" not in keys


def test_the_help_of_run_names_every_key_in_100_columns(
    keys: dict[str, Key], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= run_help.COLUMNS
    for name in keys:
        assert f"  {name}=" in printed
    # The default without overrides, which the recipe devlin sets, and the meaning beside it.
    assert "  recipe.optimizer.bias_correction=false\n" in printed
    assert "  recipe.batch_size=16                  examples per update (whole number" in printed
