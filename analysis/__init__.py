"""Statistics of scores over seeds: variance, best of n, early stopping, comparison, planning.

The labelled input is a `Study`: `read_table` makes one from a plain table of scores,
`read_study` from the tables that ``seedlab export`` writes. All other functions take a
study (or arrays of scores) and return labelled data frames. Functions that draw random
numbers take a numpy Generator. Every deliberate refusal is an `AnalysisError`.

Some packages need further libraries and are imported by their own names: `analysis.report` needs
altair and jinja2, `analysis.figures` altair. `analysis.stopping.replay`, `analysis.rules.pruners`
and `analysis.rules.ask_and_tell` need optuna.
"""

from analysis.best_of_n.bands import best_of_band as best_of_band
from analysis.best_of_n.bands import cdf_band as cdf_band
from analysis.best_of_n.compute_table import best_of_compute as best_of_compute
from analysis.best_of_n.curve_crossings import best_of_n_crossings as best_of_n_crossings
from analysis.best_of_n.expected_max import best_of_median as best_of_median
from analysis.best_of_n.expected_max import best_of_spread as best_of_spread
from analysis.best_of_n.expected_max import expected_max as expected_max
from analysis.best_of_n.expected_max_table import expected_max_table as expected_max_table
from analysis.best_of_n.target_chance import chance_of_target as chance_of_target
from analysis.best_of_n.target_chance import runs_for_target as runs_for_target
from analysis.comparison.bootstrap import compare_predictions as compare_predictions
from analysis.comparison.bootstrap import multi_bootstrap as multi_bootstrap
from analysis.comparison.compare import compare as compare
from analysis.comparison.consistency import consistency as consistency
from analysis.comparison.examples import read_examples as read_examples
from analysis.comparison.examples import with_examples as with_examples
from analysis.comparison.improvement import probability_of_improvement as probability_of_improvement
from analysis.comparison.instability import instability as instability
from analysis.comparison.robust_scores import performance_profile as performance_profile
from analysis.comparison.robust_scores import robust_means as robust_means
from analysis.comparison.shared_seeds import disagreement_by_seeds as disagreement_by_seeds
from analysis.comparison.stochastic_order import almost_stochastic_order as almost_stochastic_order
from analysis.data.curves import curve_pools as curve_pools
from analysis.data.exported import read_study as read_study
from analysis.data.predictions import predictions_of as predictions_of
from analysis.data.score_table import read_table as read_table
from analysis.data.study import Group as Group
from analysis.data.study import Study as Study
from analysis.data.study import concat_studies as concat_studies
from analysis.data.warnings import StudyWarning as StudyWarning
from analysis.data.warnings import study_warnings as study_warnings
from analysis.ensembles.table import ensemble_table as ensemble_table
from analysis.errors import AnalysisError as AnalysisError
from analysis.errors import DesignError as DesignError
from analysis.errors import OptionError as OptionError
from analysis.errors import TableError as TableError
from analysis.planning.sample_size import budget_table as budget_table
from analysis.planning.sample_size import power_of_runs as power_of_runs
from analysis.planning.sample_size import runs_for_power as runs_for_power
from analysis.planning.sample_size import runs_for_width as runs_for_width
from analysis.rules.objectives import parse_objective as parse_objective
from analysis.rules.sequential import SequentialTest as SequentialTest
from analysis.rules.sequential import planned_looks as planned_looks
from analysis.stopping.distribution import stopping_distribution as stopping_distribution
from analysis.stopping.expectation import stopping_surface as stopping_surface
from analysis.stopping.rank_correlation import fraction_correlations as fraction_correlations
from analysis.stopping.value import early_stopping_table as early_stopping_table
from analysis.stopping.value import plan_values as plan_values
from analysis.variance.components import seed_spreads as seed_spreads
from analysis.variance.components import variance_components as variance_components
from analysis.variance.failure_rates import failure_rates as failure_rates
from analysis.variance.failure_rates import wilson_interval as wilson_interval
from analysis.variance.late_noise import late_noise as late_noise
from analysis.variance.noise_floor import calibrated_floor as calibrated_floor
from analysis.variance.noise_floor import noise_floor as noise_floor
from analysis.variance.noise_floor import sampling_error as sampling_error
from analysis.variance.permutation import factor_tests as factor_tests
from analysis.variance.seed_effects import best_and_worst_seeds as best_and_worst_seeds
from analysis.variance.seed_effects import seed_means as seed_means
from analysis.variance.seed_effects import seeds_across_tasks as seeds_across_tasks
from analysis.variance.signal_to_noise import signal_to_noise as signal_to_noise
