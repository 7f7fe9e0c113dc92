import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.formula.api import ols

from analysis.errors import DesignError
from analysis.variance.henderson import CellTable, cell_table, components, sums_of_squares
from tests.suites.made_grids import crossed


@pytest.mark.parametrize(
    ("a", "b", "repeats", "drop"),
    [(4, 5, 1, 0), (4, 5, 1, 6), (3, 4, 3, 0), (3, 4, 3, 14), (2, 2, 1, 0)],
)
def test_sums_of_squares_are_type_two(a, b, repeats, drop):
    frame = crossed(np.random.default_rng(3), a, b, repeats=repeats, drop=drop)
    ss = sums_of_squares(cell_table(frame))
    fit = ols("score ~ C(init_seed) + C(order_seed)", frame).fit()
    table = sm.stats.anova_lm(fit, typ=2)
    # 1e-10: both solve the same least squares in double precision.
    assert ss.init == pytest.approx(table.loc["C(init_seed)", "sum_sq"], rel=1e-10)
    assert ss.order == pytest.approx(table.loc["C(order_seed)", "sum_sq"], rel=1e-10)
    assert ss.residual == pytest.approx(table.loc["Residual", "sum_sq"], rel=1e-10)
    assert ss.df_residual == table.loc["Residual", "df"]
    within = frame.groupby(["init_seed", "order_seed"])["score"]
    expected = ((frame["score"] - within.transform("mean")) ** 2).sum()
    assert ss.within == pytest.approx(expected, abs=1e-12)


def test_a_matrix_by_hand():
    # Row means 2 and 6, column means 3 and 5, grand mean 4; residuals all +-1/2.
    frame = pd.DataFrame(
        {"init_seed": [0, 0, 1, 1], "order_seed": [0, 1, 0, 1], "score": [0.5, 3.5, 5.5, 6.5]}
    )
    ss = sums_of_squares(cell_table(frame))
    assert (ss.init, ss.order, ss.residual) == pytest.approx((16.0, 4.0, 1.0))
    # s2E = 1; s2A = (16 - 1)/(4 - 2); s2B = (4 - 1)/(4 - 2).
    assert components(cell_table(frame)) == pytest.approx({"init": 7.5, "order": 1.5, "rest": 1.0})


def test_components_ignore_a_shift_and_scale_with_the_square():
    frame = crossed(np.random.default_rng(5), 4, 4, drop=3)
    base = components(cell_table(frame))
    moved = components(cell_table(frame.assign(score=1e6 + 3 * frame["score"])))
    # 1e-6: adding 1e6 costs ten digits of the scores.
    assert moved == pytest.approx({k: 9 * v for k, v in base.items()}, rel=1e-6)


def projected_components(frame, interaction):
    """Henderson III by explicit projections of the design: slow, and independent of ours."""
    y = frame["score"].to_numpy()
    z = [
        pd.get_dummies(frame["init_seed"]).to_numpy(float),
        pd.get_dummies(frame["order_seed"]).to_numpy(float),
    ]
    cell = frame["init_seed"].astype(str) + "-" + frame["order_seed"].astype(str)
    names = ["init", "order"]
    if interaction:
        z.append(pd.get_dummies(cell).to_numpy(float))
        names.append("interaction")

    def onto(*parts):
        q = np.column_stack(parts)
        return q @ np.linalg.pinv(q)

    a, b = z[0], z[1]
    both = onto(a, b)
    forms = [both - onto(b), both - onto(a)]
    if interaction:
        forms.append(onto(z[2]) - both)
        forms.append(np.eye(len(y)) - onto(z[2]))
    else:
        forms.append(np.eye(len(y)) - both)
    expectation = np.array(
        [[np.trace(part.T @ q @ part) for part in z] + [np.trace(q)] for q in forms]
    )
    observed = np.array([y @ q @ y for q in forms])
    rest = ["noise"] if interaction else ["rest"]
    return dict(zip(names + rest, np.linalg.solve(expectation, observed), strict=True))


@pytest.mark.parametrize(("repeats", "drop"), [(1, 0), (1, 7), (2, 0), (3, 17)])
def test_components_solve_the_expectations_of_the_quadratic_forms(repeats, drop):
    frame = crossed(np.random.default_rng(8), 4, 5, repeats=repeats, drop=drop, sds=(1, 1, 1, 1))
    pooled = components(cell_table(frame), "pool")
    assert pooled == pytest.approx(projected_components(frame, False), rel=1e-9)
    if repeats > 1:
        split = components(cell_table(frame), "split")
        assert split == pytest.approx(projected_components(frame, True), rel=1e-9)
    else:
        assert components(cell_table(frame), "split") == pooled


@pytest.mark.stat
def test_planted_components_are_recovered():
    """Mean of 200 estimates within 5 standard errors of each truth: false alarms below 1e-5."""
    generator = np.random.default_rng(11)
    truth = {"init": 1.0, "order": 0.25, "interaction": 0.5, "noise": 1.0}
    found = pd.DataFrame(
        [
            components(
                cell_table(
                    crossed(generator, 6, 7, repeats=2, drop=20, sds=(1.0, 0.5, 1.0, 0.5**0.5))
                )
            )
            for _ in range(200)
        ]
    )
    for name, value in truth.items():
        error = found[name].std() / len(found) ** 0.5
        assert abs(found[name].mean() - value) < 5 * error, name


def test_pooling_repeats_overstates_init_where_there_is_interaction():
    """Why splitting is the default: five standard errors apart (false alarms below 1e-5)."""
    generator = np.random.default_rng(12)
    frames = [crossed(generator, 5, 5, repeats=4, sds=(0.0, 0.0, 0.3, 1.0)) for _ in range(200)]
    pooled = np.array([components(cell_table(f), "pool")["init"] for f in frames])
    split = np.array([components(cell_table(f), "split")["init"] for f in frames])
    assert pooled.mean() > 5 * pooled.std() / 200**0.5
    assert abs(split.mean()) < 5 * split.std() / 200**0.5


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], r"2 unconnected parts"),
        ([[1, 1, 1]], r"1 init and 3 order seeds; a variance needs at least 2 of each"),
        ([[1, 1], [1, 0]], r"3 runs on 2 init and 2 order seeds leave no degree .* at least 4"),
    ],
)
def test_designs_that_cannot_be_estimated_are_refused(counts, message):
    n = np.array(counts, dtype=float)
    with pytest.raises(DesignError, match=message):
        components(CellTable(n, n * 0.1, n * 0.2))


def test_other_refusals():
    frame = crossed(np.random.default_rng(0), 2, 2)
    with pytest.raises(DesignError, match="there are no runs"):
        cell_table(frame.iloc[:0])
    with pytest.raises(DesignError, match="'score' is missing for run 2 of 4"):
        cell_table(frame.assign(score=[0.1, np.nan, 0.2, 0.3]))
    with pytest.raises(ValueError, match="repeats is 'both'; allowed: 'split', 'pool'"):
        components(cell_table(frame), "both")
