"""The contents of the report: every section with its parts, in the order of the page.

A new figure is a part in a module of its own and one line here.
"""

from __future__ import annotations

from analysis.report.panels.best_of import BestOfCompute, BestOfRecipes, ExpectedBest
from analysis.report.panels.bias_correction import BiasCorrection
from analysis.report.panels.choosing import PriceOfBoth, PriceOfChoosing, PriceOfEvaluations
from analysis.report.panels.comparison import Comparisons
from analysis.report.panels.ensembles import Ensembles
from analysis.report.panels.grids import GridHeatmap, ValidationCurves
from analysis.report.panels.layers import (
    DistancesOverSteps,
    FinalDistances,
    GradientNorms,
    UnrecordedProfiles,
)
from analysis.report.panels.losses import (
    DiagnosticsAdvice,
    FinalLosses,
    LossBands,
    RecipeLosses,
)
from analysis.report.panels.predictions.bootstrap import PredictionBootstrap
from analysis.report.panels.predictions.disagreement import Instability, SharedSeeds
from analysis.report.panels.predictions.examples import Consistency
from analysis.report.panels.representations import Similarity
from analysis.report.panels.scores import FailureRates, ScoreStrips
from analysis.report.panels.settings.rates import LearningRates
from analysis.report.panels.settings.sweeps import Sweeps
from analysis.report.panels.stopping import (
    PrunerReplay,
    RankCorrelations,
    StoppingPlans,
    StoppingValue,
)
from analysis.report.panels.surfaces import LossBarriers, LossSurfaces
from analysis.report.panels.tasks import PerformanceProfiles, SeedsAcrossTasks, SignalToNoise
from analysis.report.panels.tested_strips import TestedStrips
from analysis.report.panels.variance import ExtremeSeeds, SeedRanking, VarianceShares
from analysis.report.sections.section import Outline

CONTENTS: tuple[Outline, ...] = (
    Outline(
        "scores",
        "Scores and failures",
        "Every run is a point. A box spans the middle half of the runs; its tick is the median and "
        "the diamond the mean. A run fails when its final score does not beat the majority classifier. "
        "By other metrics than accuracy, runs that seedlab trained must beat chance too.",
        (ScoreStrips(), TestedStrips(), FailureRates()),
    ),
    Outline(
        "sweeps",
        "Sweeps",
        "Scores over the numbers that the study varies. Every run is a point, a failed run a cross. "
        "Diamonds and other filled marks are means, rules their 95% intervals, which know the seeds "
        "that runs share. Which value is best is seen in the same data, so the tests are corrected "
        "for all pairs of values.",
        (Sweeps(),),
        optional=True,
    ),
    Outline(
        "grids",
        "The grids",
        "One cell per run: init seeds down, order seeds across. Point at a cell to see its seeds "
        "and scores.",
        (GridHeatmap(), ValidationCurves()),
    ),
    Outline(
        "variance",
        "Where the variance comes from",
        "Shares of the variance of scores by Henderson's method III, with jackknife intervals. The "
        "permutation test says whether the seeds matter, the interval how much. The intervals are "
        "conservative: one may reach 0 although the test is clear. The grey bands behind the "
        "means of the seeds hold the middle 95% of the sorted means when scores are shuffled over all "
        "cells. Points within a band are no evidence that seeds differ.",
        (VarianceShares(), SeedRanking(), ExtremeSeeds()),
        narrow=True,
    ),
    Outline(
        "comparison",
        "Recipes and models compared",
        "Runs are paired by seeds where both sides have the cell. On a common grid the test of a "
        "difference knows that runs of a row or column share a seed; exchanging the recipes in whole rows "
        "and columns gives a second p-value, without a normal distribution. An improvement is called meaningful "
        "when one side beats the other in significantly more than half of the cases, and possibly in "
        "more than three of four.",
        (Comparisons(),),
    ),
    Outline(
        "signal-to-noise",
        "Signal to noise",
        "All scores are those of the validation set. The signal is the standard deviation of the "
        "recipes' mean last scores, without the error of these means. The noise of late evaluations is "
        "the standard deviation of scores in the last third of training, around the trend of their run. "
        "Where it is near the spread over seeds, the choice of the last step matters as much as the "
        "seed.",
        (SignalToNoise(),),
    ),
    Outline(
        "best-of-n",
        "The best of n runs",
        "The expected score of the best of n runs. Lines are the unbiased estimate (the plug-in "
        "estimate is in the tables). The band belongs to the median of the best and holds for all n "
        "at once.",
        (ExpectedBest(), BestOfRecipes(), BestOfCompute()),
    ),
    Outline(
        "choosing",
        "The price of choosing",
        "The best of n is chosen by its validation score, which therefore promises too much. The "
        "expected test score of the chosen run is what the choice delivers. Both are exact averages "
        "over all choices. The band belongs to the test score: 95% for each n by itself, over seeds.",
        (PriceOfChoosing(), PriceOfEvaluations(), PriceOfBoth()),
    ),
    Outline(
        "ensembles",
        "What to do with n runs",
        "The expected score of k of the runs: of the one that is best on the validation set, and of all "
        "k together, by their vote or by the average of their predictions. It is an average over "
        "all choices of k of the runs, or over random ones. The band belongs to the average of "
        "predictions and holds for seeds drawn anew and the same examples.",
        (Ensembles(),),
    ),
    Outline(
        "early-stopping",
        "Early stopping",
        "A plan starts t runs, stops them after a share f of training and continues the best p. The "
        "figures show the exact expected best score over all draws from the recorded runs: for the "
        "best plan of every budget, and for the same budget without stopping.",
        (StoppingValue(), StoppingPlans(), RankCorrelations(), PrunerReplay()),
    ),
    Outline(
        "tasks",
        "Over several tasks",
        "Rank correlation of the seeds' means between tasks, with a one-sided permutation test, and "
        "the scores of recipes over all tasks.",
        (SeedsAcrossTasks(), PerformanceProfiles()),
    ),
    Outline(
        "predictions",
        "Where predictions differ",
        "Runs with the same score may predict differently. Averages over distinct pairs of runs.",
        (Instability(), SharedSeeds(), Consistency(), PredictionBootstrap()),
    ),
    Outline(
        "losses",
        "Training losses",
        "",
        (LossBands(), RecipeLosses(), FinalLosses(), DiagnosticsAdvice()),
    ),
    Outline(
        "rates",
        "Learning rates",
        "Learning rates of the updates; layers are counted from the bottom. Point at a step to see "
        "the rates of all depths.",
        (LearningRates(),),
        optional=True,
    ),
    Outline(
        "bias-correction",
        "Bias correction",
        "Adam divides its running means by 1 - beta^t, BERTAdam does not. Without the correction an "
        "update is 1/f(t) times as long as it should be, mostly in the first steps (Zhang et al. "
        "2021, Mosbach et al. 2021).",
        (BiasCorrection(),),
        narrow=True,
        optional=True,
    ),
    Outline(
        "layers",
        "Layer by layer",
        "Medians over runs. Distances are L2, over all parameters of a layer, from where the run "
        "started (re-initialised layers: from their new start). Gradient norms are L2, before "
        "clipping. Figures over the steps share one vertical axis per task.",
        (GradientNorms(), FinalDistances(), DistancesOverSteps(), UnrecordedProfiles()),
        optional=True,
    ),
    Outline(
        "representations",
        "Representations of two runs",
        "The first token's hidden state after every layer, for the same validation examples, "
        "compared between every two runs: 1 (distance 0) means the same arrangement up to rotation and "
        "scale. Points are medians over pairs, rules their range. The embeddings' first token is "
        "the same in every text and can't be compared. SVCCA is high for any two runs where the "
        "examples are not several times the features.",
        (Similarity(),),
        narrow=True,
        optional=True,
    ),
    Outline(
        "surfaces",
        "Loss surfaces",
        "The training loss (without dropout) on the plane through the start of one run and the ends "
        "of two: f(a, b) = L(start + a (failed - start) + b (successful - start)), as Mosbach et al. "
        "2021 draw it. The start has the pre-trained encoder and the new head of the run named.",
        (LossSurfaces(),),
        optional=True,
    ),
    Outline(
        "barriers",
        "Between two runs",
        "Training loss (without dropout) and validation score of weights on the straight line from one "
        "run's end to another's: first + t (second - first). The barrier is the worst value minus the "
        "mean of the ends, as Frankle et al. 2020 define it. Without one, averaging the weights "
        "may help (seedlab soup).",
        (LossBarriers(),),
        narrow=True,
        optional=True,
    ),
)
