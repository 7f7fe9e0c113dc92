"""The score of a run that is analysed: its best evaluation, its last one, or its test score.

The best evaluation is the chosen score: the best after step 0. Step 0 is the untrained model. It
is shown in curves and never chosen.
"""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pandas as pd

from analysis.data.frames import numbers, refuse_rows, texts
from analysis.data.run_status import marked_failed
from analysis.data.study import COMPLETE_STATUSES, Score, Study
from analysis.errors import OptionError, TableError


def check_score(score: str) -> None:
    """Refuse a name that is no score."""
    if score not in get_args(Score):
        allowed = ", ".join(repr(name) for name in get_args(Score))
        raise OptionError(f"score is {score!r}; allowed: {allowed}.")


def has_test_scores(runs: pd.DataFrame) -> bool:
    """Whether a complete run has a test score."""
    known = "test_score" in runs and runs.loc[runs["complete"], "test_score"].notna().any()
    return bool(known)


def keeps_best(runs: pd.DataFrame) -> bool:
    """Whether the runs kept the weights of their best evaluation (``keep`` in the export).

    Their final score is then the best score after step 0.
    """
    return "keep" in runs and bool((runs["keep"] == "best").all())


def last_scores(runs: pd.DataFrame, curves: pd.DataFrame | None) -> pd.Series:
    """The scores of the last evaluations of runs, which need not be those of their kept weights.

    Parameters
    ----------
    runs : DataFrame
    curves : DataFrame or None
        ``run, fraction, score``, with a row for every evaluation. None: final scores serve.
    """
    final = runs["final_score"]
    if curves is None or not keeps_best(runs):
        return final
    last = curves.sort_values("fraction", kind="stable").groupby("run")["score"].last()
    return runs["run"].map(last).fillna(final)


def with_score(study: Study, score: Score, source: str) -> Study:
    """The study with the ``score`` that is selected.

    Parameters
    ----------
    study : Study
        As read, with the best evaluations (or the selected ones) as ``score``.
    score : {"best", "final", "test"}
    source : str
        Where the runs come from, for the message.

    Raises
    ------
    TableError
        Test scores are selected and no complete run has one.
    """
    if score == "test":
        return with_test_scores(study, source)
    if score == "final" and keeps_best(study.runs):
        # The scores are the same, and texts shall not say that they are of last evaluations.
        score = "best"
    if score == "final":
        study = dataclasses.replace(study, runs=study.runs.assign(score=study.runs["final_score"]))
    return dataclasses.replace(study, score=score)


def with_test_scores(study: Study, source: str) -> Study:
    """The study with its test scores as the ``score`` that is analysed.

    Parameters
    ----------
    study : Study
    source : str
        Where the runs come from, for the message.

    Returns
    -------
    Study
        Complete runs without a test score are in ``untested`` alone.

    Raises
    ------
    TableError
        No complete run has a test score.
    """
    if not has_test_scores(study.runs):
        raise TableError(
            f"{source}: no run that was trained to its end has a test score. A study records them "
            "where its task has a test set: train with task.dev_split=halved, or with "
            "task.test_file=FILE for tables of your own. A table gives them in the column "
            "'test_score'. Or analyse validation scores (--score best, --score final)."
        )
    runs = study.runs.assign(score=study.runs["test_score"])
    gap = runs["complete"] & runs["score"].isna()
    tested = dataclasses.replace(study, runs=runs, score="test").of_runs(~gap)
    return dataclasses.replace(tested, untested=runs.loc[gap].reset_index(drop=True))


def untested_text(gap: pd.DataFrame, of: int, estimates: str) -> str:
    """The runs without a test score in a sentence: their number among `of`, and failed ones."""
    text = f"{len(gap)} of {of} runs {'has' if len(gap) == 1 else 'have'} no test score"
    if failed := int(gap["failed"].sum()):
        text += (
            f" ({failed} failed). Without failed runs the scores look too good; give their scores"
        )
    return f"{text}. {'It is' if len(gap) == 1 else 'They are'} left out of {estimates}."


def chosen_scores(runs: pd.DataFrame, evaluations: pd.DataFrame | None, table: str) -> pd.DataFrame:
    """The chosen score and step of exported runs, as recorded or from their evaluations.

    Parameters
    ----------
    runs : DataFrame
        Typed rows with ``run, status, metric, higher_is_better, final_score, best_score``, and
        ``split``, ``best_step``, ``chosen_score`` and ``chosen_step`` where the export has them.
    evaluations : DataFrame or None
        The exported table; used for exports without ``chosen_score``.
    table : str
        Name of the source, for messages.

    Returns
    -------
    DataFrame
        ``chosen_score, chosen_step`` (NaN where unknown), with the index of `runs`. Of equal
        scores the earliest counts. A failed run may lack its score, a stopped one too.

    Raises
    ------
    TableError
        A run that did not fail has no chosen score: it was never scored after step 0, or its best
        score is that of step 0 and there are no evaluations to choose from.
    """
    if "chosen_score" in runs:
        score = runs["chosen_score"]
        step = runs["chosen_step"] if "chosen_step" in runs else score * np.nan
        reason = (
            "column 'chosen_score' is empty: the run was never scored after step 0, and the "
            "untrained model is never chosen. Analyse the last scores (--score final)."
        )
    else:
        score, step = _derived(runs, evaluations, table)
        reason = (
            "column 'best_score' is the score of step 0, the untrained model, which is never "
            "chosen, and the best score after it is missing. Export the study again with its "
            "evaluations, or analyse the last scores (--score final)."
        )
    gap = score.isna() & runs["status"].isin(COMPLETE_STATUSES) & ~marked_failed(runs)
    refuse_rows(gap.to_numpy(dtype=bool), runs.index, reason, table)
    return pd.DataFrame({"chosen_score": score, "chosen_step": step})


def _derived(
    runs: pd.DataFrame, evaluations: pd.DataFrame | None, table: str
) -> tuple[pd.Series, pd.Series]:
    """Chosen scores and steps of an export without them."""
    step = runs["best_step"] if "best_step" in runs else runs["best_score"] * np.nan
    # A best score after step 0 is the chosen one. Without its step nothing says that it is not.
    score = runs["best_score"].where(step.isna() | (step > 0))
    if evaluations is None:
        return score, step.where(step > 0)
    best = _best_after_start(runs, evaluations, table)
    known = runs["run"].map(best["score"]).astype("float64")
    at = runs["run"].map(best["step"]).astype("float64")
    sign = np.where(runs["higher_is_better"], 1.0, -1.0)
    # The final score counts too: that of a diverged run is chance, which is no evaluation.
    final = runs["final_score"]
    ended = final.notna() & ~(sign * known >= sign * final)
    if "steps" in runs:
        ended &= runs["steps"] > 0
        at = at.where(~ended, runs["steps"])
    known = known.where(~ended, final)
    unsure = step == 0 if "best_step" in runs else known.notna()
    return score.where(~unsure, known), step.where(~unsure, at)


def _best_after_start(runs: pd.DataFrame, evaluations: pd.DataFrame, table: str) -> pd.DataFrame:
    """The best ``score`` after step 0 and its ``step``, by run; runs without any are absent."""
    by_run = runs.set_index("run")
    frame = pd.DataFrame(
        {
            "run": texts(evaluations, "run", table),
            "fraction": numbers(evaluations, "fraction", table),
            "step": numbers(evaluations, "step", table) if "step" in evaluations else np.nan,
            "score": numbers(evaluations, "value", table),
        }
    )
    mine = texts(evaluations, "metric", table) == frame["run"].map(by_run["metric"])
    if "split" in evaluations and "split" in runs:
        mine &= texts(evaluations, "split", table) == frame["run"].map(by_run["split"])
    frame = frame.loc[mine & (frame["fraction"] > 0) & frame["score"].notna()]
    frame = frame.sort_values(["run", "fraction"], kind="stable")
    up = frame["run"].map(by_run["higher_is_better"]).astype("bool")
    signed = frame["score"].where(up, -frame["score"])
    # The first of equals.
    return frame.loc[signed.groupby(frame["run"]).idxmax()].set_index("run")
