"""What the server of processes imports once, for all cases."""

import gc

import altair  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import torch  # noqa: F401
import vl_convert  # noqa: F401

import seedlab.application.app
import seedlab.commands.verbs.plan
import seedlab.commands.verbs.report  # noqa: F401

# The collector would touch, and so copy, every page in every process.
gc.freeze()
