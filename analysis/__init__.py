"""From a table of scores to answers about seeds.

The labelled input is a `Study`: `read_table` makes one from a plain table of
scores, `read_study` from the tables that ``seedlab export`` writes. Everything
else takes a study (or arrays of scores) and returns labelled data frames; what
draws random numbers takes a numpy Generator.

Some parts are imported by their own names, because they need more than numpy,
scipy and pandas: `analysis.report` (``write_report``, ``plan_answers``; altair and
jinja2), `analysis.figures` (altair), and `analysis.replay`, `analysis.pruners` and
`analysis.ask_and_tell` (optuna).
"""

from analysis.bands import best_of_band as best_of_band
from analysis.bands import cdf_band as cdf_band
from analysis.bootstrap import compare_predictions as compare_predictions
from analysis.bootstrap import multi_bootstrap as multi_bootstrap
from analysis.compare import compare as compare
from analysis.curves import curve_pools as curve_pools
from analysis.early_stopping import early_stopping_table as early_stopping_table
from analysis.early_stopping import plan_values as plan_values
from analysis.expected_max import best_of_median as best_of_median
from analysis.expected_max import best_of_spread as best_of_spread
from analysis.expected_max import expected_max as expected_max
from analysis.expected_max_table import expected_max_table as expected_max_table
from analysis.exported import read_study as read_study
from analysis.failure import failure_rates as failure_rates
from analysis.failure import wilson_interval as wilson_interval
from analysis.fraction_correlation import fraction_correlations as fraction_correlations
from analysis.henderson import DesignError as DesignError
from analysis.improvement import probability_of_improvement as probability_of_improvement
from analysis.instability import instability as instability
from analysis.lint import Finding as Finding
from analysis.lint import lint as lint
from analysis.noise_floor import calibrated_floor as calibrated_floor
from analysis.noise_floor import noise_floor as noise_floor
from analysis.noise_floor import sampling_error as sampling_error
from analysis.objectives import parse_objective as parse_objective
from analysis.overtaking import best_of_n_crossings as best_of_n_crossings
from analysis.permutation import factor_tests as factor_tests
from analysis.planner import budget_table as budget_table
from analysis.planner import power_of_runs as power_of_runs
from analysis.planner import runs_for_power as runs_for_power
from analysis.planner import runs_for_width as runs_for_width
from analysis.predicted import predictions_of as predictions_of
from analysis.robust_scores import performance_profile as performance_profile
from analysis.robust_scores import robust_means as robust_means
from analysis.seed_effects import best_and_worst_seeds as best_and_worst_seeds
from analysis.seed_effects import seed_means as seed_means
from analysis.seed_effects import seeds_across_tasks as seeds_across_tasks
from analysis.sequential import SequentialTest as SequentialTest
from analysis.sequential import planned_looks as planned_looks
from analysis.stochastic_order import almost_stochastic_order as almost_stochastic_order
from analysis.stopping_distribution import stopping_distribution as stopping_distribution
from analysis.stopping_surface import stopping_surface as stopping_surface
from analysis.study import Group as Group
from analysis.study import Study as Study
from analysis.study import TableError as TableError
from analysis.study import concat_studies as concat_studies
from analysis.table import read_table as read_table
from analysis.target_chance import chance_of_target as chance_of_target
from analysis.target_chance import runs_for_target as runs_for_target
from analysis.variance import seed_spreads as seed_spreads
from analysis.variance import variance_components as variance_components
