"""The GLUE tasks: their columns, labels and metrics, in the original files and on the hub.

A task that is stored like one of them needs an entry here and a file in conf/task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seedlab.errors import SeedlabError, nearest


@dataclass(frozen=True)
class GlueTask:
    """The files, columns and labels of one task.

    Parameters
    ----------
    folder : str
        Name of its folder in the original download.
    columns : tuple of str
        Columns of the text, or of the two texts of a pair, in the original files.
    label : str
        Column of the label or score in the original files.
    label_names : tuple of str
        Names of the classes in the hub's order; empty for regression.
    metrics : tuple of str
        GLUE's own metric first; names in `seedlab.tasks.metrics.METRICS`.
    file_labels : tuple of str
        Spellings of the classes in the original files, in order; empty: ``0``, ``1``, ...
    header : tuple of str
        Names of the columns where the original files have no header.
    splits : mapping of str to str
        Split to the stem of its original file, ``train`` for ``train.tsv``.
    skips_broken_rows : bool
        Whether rows with too few or too many columns are left out. The published file of
        QQP has some, and every reader leaves them out.
    hub : str
        Dataset on the hub. Its configuration has the task's name.
    hub_columns : tuple of str
        Columns of the texts on the hub; empty: the same as in the original files.
    """

    folder: str
    columns: tuple[str, ...]
    label: str
    label_names: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    file_labels: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "dev": "dev"})
    skips_broken_rows: bool = False
    hub: str = "nyu-mll/glue"
    hub_columns: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether the label is a score."""
        return not self.label_names


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_F1 = ("accuracy_f1_mean", "accuracy", "f1")
GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(
        folder="CoLA",
        columns=("sentence",),
        label="label",
        label_names=("unacceptable", "acceptable"),
        metrics=("matthews", "accuracy"),
        header=("source", "label", "judgement", "sentence"),
    ),
    "sst2": GlueTask(
        folder="SST-2",
        columns=("sentence",),
        label="label",
        label_names=("negative", "positive"),
    ),
    "mrpc": GlueTask(
        folder="MRPC",
        columns=("#1 String", "#2 String"),
        label="Quality",
        label_names=("not_equivalent", "equivalent"),
        metrics=_F1,
        hub_columns=_PAIR,
    ),
    "qqp": GlueTask(
        folder="QQP",
        columns=("question1", "question2"),
        label="is_duplicate",
        label_names=("not_duplicate", "duplicate"),
        metrics=_F1,
        skips_broken_rows=True,
    ),
    "stsb": GlueTask(
        folder="STS-B",
        columns=_PAIR,
        label="score",
        label_names=(),
        metrics=("pearson_spearman_mean", "pearson", "spearman"),
    ),
    "mnli": GlueTask(
        folder="MNLI",
        columns=_PAIR,
        label="gold_label",
        label_names=("entailment", "neutral", "contradiction"),
        file_labels=("entailment", "neutral", "contradiction"),
        splits={"train": "train", "dev": "dev_matched", "dev_mismatched": "dev_mismatched"},
        hub_columns=("premise", "hypothesis"),
    ),
    "qnli": GlueTask(
        folder="QNLI",
        columns=("question", "sentence"),
        label="label",
        label_names=_ENTAILMENT,
        file_labels=_ENTAILMENT,
    ),
    "rte": GlueTask(
        folder="RTE",
        columns=_PAIR,
        label="label",
        label_names=_ENTAILMENT,
        file_labels=_ENTAILMENT,
    ),
    "wnli": GlueTask(
        folder="WNLI",
        columns=_PAIR,
        label="label",
        label_names=_ENTAILMENT[::-1],
    ),
}
"""Every task of the reader ``glue``, by the value of `task.name`."""


def glue_task(name: str) -> GlueTask:
    """Return the description of a GLUE task.

    Raises
    ------
    SeedlabError
        For a name that is not in `GLUE`.
    """
    if name not in GLUE:
        raise SeedlabError(
            f"task.name={name} is not a GLUE task; allowed with task.reader=glue: "
            f"{', '.join(GLUE)}.{nearest(name, GLUE)}"
        )
    return GLUE[name]
