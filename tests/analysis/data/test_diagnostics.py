"""Diagnostics as tables, their readings, and what is said where they were not recorded."""

import numpy as np
import pytest

from analysis.data.study import Study
from analysis.errors import TableError
from analysis.report.panels.layers import distances_caption, gradients_caption
from analysis.training.bias_correction import correction_factor, uncorrected_schedules
from analysis.training.final_losses import final_losses
from analysis.training.layer_profiles import depth_names, distances_at_end, profile_medians
from tests.suites.made_diagnostics import DEPTHS, watched
from tests.suites.made_studies import complete, curved


@pytest.fixture(scope="module")
def study():
    return watched()


def test_the_correction_factor_has_its_known_values():
    """Computed by hand from the formula, rounded to four digits."""
    known = {
        1: 0.3162, 2: 0.2353, 5: 0.1725, 10: 0.1532, 12: 0.1522, 20: 0.1602, 50: 0.2220,
        100: 0.3086, 200: 0.4259, 500: 0.6274, 1000: 0.7952, 3000: 0.9748,
    }  # fmt: skip
    np.testing.assert_allclose(correction_factor(list(known)), list(known.values()), atol=5e-5)
    everywhere = correction_factor(np.arange(1, 3001))
    assert int(everywhere.argmin()) + 1 == 12
    exact = np.sqrt(1 - 0.99**7) / (1 - 0.5**7)
    assert correction_factor(7, 0.5, 0.99) == pytest.approx(exact, rel=1e-12)
    assert correction_factor(3, 0.0, 0.0) == 1.0
    with pytest.raises(ValueError, match=r"step is 0; updates are counted from 1"):
        correction_factor([1, 0])
    with pytest.raises(ValueError, match=r"beta1 is 1.0"):
        correction_factor(1, beta1=1.0)


def test_runs_without_correction_are_told_with_their_warm_up(study):
    table = uncorrected_schedules(study)
    assert table[["steps", "warmup", "n_runs", "n_failed"]].to_numpy().tolist() == [[20, 2, 9, 1]]
    runs = study.runs.assign(warmup_steps=7)
    runs.loc[:3, "bias_correction"] = True
    some = uncorrected_schedules(Study(runs)).iloc[0]
    assert (some["warmup"], some["n_runs"]) == (7, 5)
    with pytest.raises(TableError, match=r"every run has bias correction"):
        uncorrected_schedules(Study(runs.assign(bias_correction="true")))
    with pytest.raises(TableError, match=r"no column 'bias_correction'"):
        uncorrected_schedules(curved())


def test_distances_are_those_of_the_last_evaluation(study):
    table = distances_at_end(study)
    assert table["place"].tolist() == depth_names(DEPTHS) == ["embeddings", "1", "2", "3", "head"]
    # Runs 0 to 8: 2 after 20 steps, the layer's number, and the run's: 4 in the middle.
    assert table["median"].tolist() == [6, 7, 8, 9, 10]
    assert (table["upper"] - table["median"]).tolist() == [4] * DEPTHS
    assert table[["n_runs", "n_failed"]].iloc[0].tolist() == [9, 1]
    words = distances_caption(table, ["devlin"] * DEPTHS)
    assert (
        "devlin (9 runs, 1 failed): the head moved farthest (10), the embeddings least (6)" in words
    )


def test_medians_keep_failed_runs_apart_and_leave_broken_values_out(study):
    profiles = study.profiles.copy()
    last = profiles["run"] == study.runs["run"].iloc[8]
    profiles.loc[last, "value"] = np.nan
    table = profile_medians(Study(study.runs, profiles=profiles), "distance").query(
        "step == 20 and depth == 0"
    )
    assert table.set_index("failed")["median"].to_dict() == {True: 2.0, False: 6.0}
    assert table.set_index("failed")["n_runs"].to_dict() == {True: 1, False: 7}


def test_a_reading_of_gradients_says_how_they_changed(study):
    part = profile_medians(study, "gradient_norm").query("not failed")
    # From step 0 to step 20 every norm is halved twenty times.
    words = gradients_caption(part)
    assert "the lowest layer from 0.5 to 4.8e-07 (1e+06 times smaller)" in words
    frozen = part.assign(median=part["median"].where(part["depth"] != 1, 0.0))
    assert "for the lowest layer no gradient" in gradients_caption(frozen)


def test_what_was_not_recorded_is_said_with_how_to_record_it():
    bare = complete(a=2, b=2)
    with pytest.raises(TableError, match=r"no distances by layer .*diagnostics.distances=true"):
        distances_at_end(bare)
    with pytest.raises(TableError, match=r"no gradient norms .*diagnostics.gradient_norms=10"):
        profile_medians(bare, "gradient_norm")
    with pytest.raises(TableError, match=r"no training losses"):
        final_losses(curved(a=2, b=2))


def test_the_loss_at_the_end_is_the_mean_of_the_last_tenth(study):
    table = final_losses(study).set_index("run")
    for run, part in study.steps.groupby("run"):
        expected = part.sort_values("step")["train_loss"].iloc[-2:].mean()
        assert table.loc[run, "train_loss"] == pytest.approx(expected)
    steps = study.steps.copy()
    steps.loc[steps.index[19], "train_loss"] = np.nan
    broken = final_losses(Study(study.runs, steps=steps))
    assert broken["train_loss"].isna().tolist() == [True] + [False] * 8
