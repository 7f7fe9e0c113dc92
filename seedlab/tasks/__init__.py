"""Tasks: readers, the embedded tasks, tokenisation and metrics."""

from seedlab.tasks.encoded import EncodedTask as EncodedTask
from seedlab.tasks.encoded import Split as Split
from seedlab.tasks.load import load_task as load_task
