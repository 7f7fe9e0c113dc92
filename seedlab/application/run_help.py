"""`seedlab run --help`: the keys of a run with their meanings, in 100 columns."""

from __future__ import annotations

import textwrap

from seedlab.application.defaults import default_values
from seedlab.config.keys import Key, choices, key_sections

COLUMNS = 100
INDENT = 40
"""Column of a meaning."""
_HEAD = """\
usage: seedlab run [-m] [GROUP=NAME ...] [KEY=VALUE ...]

Train one run, or with -m (--multirun) a grid of runs:

  seedlab run -m task=rte model=bert-large-uncased grid=5x5
  seedlab run -m 'seed.init=range(0,25)' recipe.optimizer.learning_rate=1e-5,2e-5 study=rates
  seedlab run ... dry=true        print the plan and train nothing
  seedlab run ... dry=true --rates FILE.html   draw the learning rates as well
  seedlab run ... --cfg job       print the values of all keys
  seedlab run --hydra-help        the flags of Hydra, which composes the configuration

The same list with links: docs/reference/configuration.md.
"""


def help_text() -> str:
    """Return the help: choices of every group, then every key with its meaning."""
    lines = [_HEAD, "Groups (GROUP=NAME)", ""]
    for group, names in choices().items():
        lines += _columns(f"  {group}", ", ".join(names))
    for section in key_sections(default_values()):
        lines += ["", *textwrap.wrap(f"{section.name}  {section.purpose}".strip(), COLUMNS)]
        for key in section.keys:
            lines += _columns(f"  {key.name}={key.default}", _words(key))
    return "\n".join(lines)


def _words(key: Key) -> str:
    """Return the meaning, and the allowed values unless it names each of them."""
    named = "|" in key.meaning and all(word in key.meaning for word in key.allowed.split(", "))
    return key.meaning if named else f"{key.meaning} ({key.allowed})"


def _columns(left: str, right: str) -> list[str]:
    """Return a row of two columns; a left part that is too long has a line of its own."""
    wrapped = textwrap.wrap(right, COLUMNS - INDENT)
    if len(left) > INDENT - 2:
        return [left, *(" " * INDENT + line for line in wrapped)]
    first, *rest = wrapped
    return [left.ljust(INDENT) + first, *(" " * INDENT + line for line in rest)]
