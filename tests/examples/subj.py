"""A GLUE-like task: is a sentence about a film subjective or objective?"""

from seedlab.tasks.readers.glue_tasks import GlueTask

SUBJ = GlueTask(
    folder="SUBJ",  # SUBJ/train.tsv and SUBJ/dev.tsv
    columns=("sentence",),  # of the files; two names for a task of pairs
    label="label",
    label_names=("objective", "subjective"),  # written 0 and 1 in the files
    metrics=("accuracy", "matthews"),  # the first one is the task's own
    hub="SetFit/subj",
    hub_columns=("text",),
)
