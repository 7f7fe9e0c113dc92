"""Settings of an intermediate task; `seedlab.reproduce.intermediate` finds its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from seedlab.techniques.technique import Documentation, Technique


@dataclass(frozen=True)
class IntermediateSpec(Technique):
    """An intermediate task (STILTs): start from the encoder that a run of another study ended with."""

    section = "intermediate"
    switch = "study"
    documentation = Documentation(
        "intermediate task",
        "`intermediate.study=NAME`",
        "`intermediate.run=median`",
        "Phang et al. 2018",
    )
    preset = "zhang2021_intermediate"

    study: str | None = None
    """name or folder of that study; null: off"""
    run: str = "median"
    """run id (or its first digits) | best | median, by final score"""
