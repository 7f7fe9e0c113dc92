"""One root class for every refusal, so that a command line can catch it and print the message."""

import ast
import builtins
import importlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import AnalysisError, DesignError, OptionError, TableError, parse_objective
from analysis.report import Questions, plan_answers
from tests.suites.made_studies import curved, plain

FOLDER = Path(analysis.__file__).parent


def raised_names():
    """Every (module, class name) that is raised with a message anywhere in the package."""
    for path in sorted(FOLDER.rglob("*.py")):
        module = ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield module, ast.unparse(node.exc.func)


def test_only_refusals_and_argument_errors_are_raised():
    for module, name in raised_names():
        if hasattr(builtins, name):
            assert name == "ValueError", f"{module} raises {name}"
        else:
            raised = getattr(importlib.import_module(module), name)
            assert issubclass(raised, AnalysisError), f"{module} raises {name}"


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda: analysis.read_table("no-such.csv"), TableError, "no such file; give the path"),
        (
            lambda: analysis.read_table(pd.DataFrame({"task": ["t"]})),
            TableError,
            "there is no column of seeds",
        ),
        (lambda: plan_answers(Questions(width=-1.0, sd=1.0)), OptionError, r"width is -1\.0"),
        (
            lambda: plan_answers(Questions(effect=1.0, sd=1.0, power=2)),
            OptionError,
            "power is 2; allowed: between 0 and 1",
        ),
        (
            lambda: plan_answers(Questions(budget=0), curved()),
            OptionError,
            r"budgets are \[0\].*; allowed: whole trainings from 1 on",
        ),
        (
            lambda: plan_answers(Questions(target=1.0, chance=1.0), plain()),
            OptionError,
            r"chance is 1\.0; allowed: between 0 and 1",
        ),
        (lambda: parse_objective("best"), OptionError, "objective 'best' is not known; allowed:"),
        (
            lambda: parse_objective("failure_rate").value(np.ones(3)),
            DesignError,
            "failure_rate needs to know which runs failed",
        ),
        (lambda: analysis.expected_max([0.5, np.nan], [1]), TableError, r"scores\[1\] is nan"),
    ],
)
def test_what_users_can_get_wrong_is_an_analysis_error(ask, kind, message):
    with pytest.raises(AnalysisError) as caught:
        ask()
    assert type(caught.value) is kind
    assert re.search(message, str(caught.value))


def test_notebooks_may_catch_value_errors():
    assert issubclass(AnalysisError, ValueError)
