"""One Altair definition per figure, for the interactive report and for a paper alike."""

from analysis.data.labels import group_labels as group_labels
from analysis.figures.best_of import best_of_recipes as best_of_recipes
from analysis.figures.best_of import expected_best as expected_best
from analysis.figures.comparison import improvement as improvement
from analysis.figures.comparison import instability_figure as instability_figure
from analysis.figures.comparison import profiles as profiles
from analysis.figures.curves import loss_bands as loss_bands
from analysis.figures.curves import validation_curves as validation_curves
from analysis.figures.densities import best_worst_densities as best_worst_densities
from analysis.figures.depths import distance_by_depth as distance_by_depth
from analysis.figures.depths import profile_over_steps as profile_over_steps
from analysis.figures.depths import similarity_by_depth as similarity_by_depth
from analysis.figures.ensembles import ensemble_figure as ensemble_figure
from analysis.figures.heatmap import heatmap as heatmap
from analysis.figures.scores import failure_figure as failure_figure
from analysis.figures.scores import score_strips as score_strips
from analysis.figures.seeds import seed_ranking as seed_ranking
from analysis.figures.seeds import variance_shares as variance_shares
from analysis.figures.stopping import rank_heatmap as rank_heatmap
from analysis.figures.stopping import replay_values as replay_values
from analysis.figures.stopping import stopping_plans as stopping_plans
from analysis.figures.stopping import stopping_value as stopping_value
from analysis.figures.surface import loss_surface as loss_surface
from analysis.figures.theme import save_figure as save_figure
from analysis.figures.training import correction_figure as correction_figure
from analysis.figures.training import loss_against_score as loss_against_score
