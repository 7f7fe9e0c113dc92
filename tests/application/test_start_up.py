"""What a command imports before it hands work to workers."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "datasets", "pandas", "scipy", "optuna", "peft")


def test_planning_imports_no_library_that_only_training_needs() -> None:
    """torch and transformers alone take three seconds, which every refusal would wait for."""
    code = (
        "import sys\n"
        "import seedlab.application.app, seedlab.commands.cli, seedlab.launch.launcher\n"
        f"print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
