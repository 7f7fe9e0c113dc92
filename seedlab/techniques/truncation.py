"""Settings of truncation; `seedlab.tasks.truncate` cuts the texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from seedlab.allowed import AT_LEAST_1, Allowed, OneOf
from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class TruncationSpec(Technique):
    """Truncation: the part that is kept of a text that is too long."""

    section = "truncation"
    switch = "keep"
    documentation = Documentation(
        "truncation",
        "`truncation.keep=tail` or head_tail",
        "`truncation.head=128`",
        "Sun et al. 2019",
    )
    preset = "sun2019"
    limits: ClassVar[Mapping[str, Allowed]] = {
        "keep": OneOf(("head", "tail", "head_tail")),
        "head": AT_LEAST_1,
    }

    keep: str = "head"
    """head | tail | head_tail"""
    head: int = 128
    """head_tail: tokens kept from the beginning, special tokens not counted"""
