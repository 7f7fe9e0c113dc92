"""A study on disk: run folders, claims, checkpoints, decisions and exported tables."""

from seedlab.store.claims import Claim as Claim
from seedlab.store.make_record import make_record as make_record
from seedlab.store.record import Record as Record
from seedlab.store.study import StoredRun as StoredRun
from seedlab.store.study import StudyFolder as StudyFolder
from seedlab.store.study import find_study as find_study
from seedlab.store.study_plan import PlannedRun as PlannedRun
