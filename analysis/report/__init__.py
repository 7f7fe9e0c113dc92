"""The report and the planner: answers in sentences, figures with computed captions, tables."""

from analysis.planning.answers import Questions as Questions
from analysis.planning.answers import plan_answers as plan_answers
from analysis.report.write import useful_workers as useful_workers
from analysis.report.write import write_report as write_report
