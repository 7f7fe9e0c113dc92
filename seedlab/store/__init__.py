"""Run folders: written once, claimed while in work, exported as tidy tables."""

from seedlab.store.claims import Claim as Claim
from seedlab.store.judging import make_record as make_record
from seedlab.store.plan import PlannedRun as PlannedRun
from seedlab.store.record import Record as Record
from seedlab.store.score_table import score_grid as score_grid
from seedlab.store.status import StudyStatus as StudyStatus
from seedlab.store.status import format_status as format_status
from seedlab.store.study import StoredRun as StoredRun
from seedlab.store.study import Study as Study
from seedlab.store.study import find_study as find_study
