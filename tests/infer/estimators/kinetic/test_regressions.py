"""The batched regressions of the next values on the past, against scikit-learn, plain sums and enumeration."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from infer.estimators.kinetic import regressions
from infer.estimators.kinetic.errors import kinetic_errors
from infer.estimators.kinetic.kinetic_kernels import fisher_weights
from infer.estimators.kinetic.regressions import Metric, evaluate, fit_kinetic
from infer.estimators.kinetic.steps import Steps


def couplings_and_fields(n_spins, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale / np.sqrt(n_spins), (n_spins, n_spins)), rng.normal(0, 0.3, n_spins)


def simulate_rows(couplings, fields, n_rows, seed=0, update=1.0):
    """A plain simulation in which every spin is updated with some chance in each step."""
    rng = np.random.default_rng(seed)
    spins = np.ones((n_rows, len(fields)), dtype=np.int8)
    for t in range(1, n_rows):
        up = 1 / (1 + np.exp(-2 * (couplings @ spins[t - 1] + fields)))
        spins[t] = np.where(rng.random(len(fields)) < up, 1, -1)
        spins[t] = np.where(rng.random(len(fields)) < update, spins[t], spins[t - 1])
    return spins


def plain_loss(past, before, after, weight, update, position):
    """Weighted mean of the negative logarithm of the probability of one spin's next value, written out."""
    local = past @ position[:-1] + position[-1]
    chance = update / (1 + np.exp(-2 * after * local)) + (1 - update) * (before == after)
    return -(weight * np.log(chance)).sum() / weight.sum()


def small_steps(n_lags=1, weighted=False, update=1.0):
    spins = simulate_rows(*couplings_and_fields(5), 400, update=update)
    weight = np.random.default_rng(1).integers(0, 3, 400).astype(float) if weighted else None
    return Steps.of(spins, np.repeat([0, 1, 2], [150, 200, 50]), n_lags, weight)


def test_steps_stay_inside_runs_and_lags_look_back_in_order():
    spins = np.random.default_rng(0).choice([-1, 1], size=(10, 3)).astype(np.int8)
    steps = Steps.of(spins, np.array([4, 4, 4, 4, 7, 7, 7, 2, 2, 2]), n_lags=2)
    np.testing.assert_array_equal(steps.rows, [2, 3, 6, 9])
    np.testing.assert_array_equal(steps.past(slice(None))[:, :3], spins[[1, 2, 5, 8]])
    np.testing.assert_array_equal(steps.past(slice(None))[:, 3:], spins[[0, 1, 4, 7]])
    np.testing.assert_array_equal(steps.next(slice(None)), spins[[2, 3, 6, 9]])
    with pytest.raises(ValueError, match="no run has more than 3 rows"):
        Steps.of(spins, np.array([4, 4, 4, 7, 7, 7, 2, 2, 2, 0]), n_lags=3)


@pytest.mark.parametrize("update", [1.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_gradients_are_those_of_the_formula(update, weighted):
    steps = small_steps(2, weighted, update)
    position = np.random.default_rng(2).normal(0, 0.8, (5, 11))
    position[0] *= 60  # beyond where exponentials overflow
    loss, gradient, margin = evaluate(steps, position, np.arange(5), update)
    everything = slice(None)
    past, after = steps.past(everything).astype(float), steps.next(everything)
    weight = np.ones(steps.n_steps) if steps.weight is None else steps.weight
    for node in range(1, 5):
        args = past, past[:, node], after[:, node], weight, update
        assert loss[node] == pytest.approx(plain_loss(*args, position[node]), rel=1e-12)
        for column in range(11):
            moved = np.eye(11)[column] * 1e-5
            slope = (plain_loss(*args, position[node] + moved) - plain_loss(*args, position[node] - moved)) / 2e-5
            assert gradient[node, column] == pytest.approx(slope, abs=1e-8)
        assert margin[node] == pytest.approx((after[:, node] * (past @ position[node, :-1] + position[node, -1])).min())
    assert np.isfinite(loss).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("update", [1.0, 0.3])
def test_the_metric_is_the_expected_curvature(update):
    """Averaged over what may come next, the second derivative of the loss is the Fisher information."""
    steps = small_steps()
    position = np.random.default_rng(2).normal(0, 0.5, (5, 6))
    found = Metric(steps, update).matrices(position[3:4], np.array([3]))[0]
    design = steps.design(slice(None))
    before = steps.past(slice(None))[:, 3]
    expected = np.zeros((6, 6))
    for after in (-1, 1):
        local = design @ position[3]

        def loss(h, after=after):
            return -np.log(update / (1 + np.exp(-2 * after * h)) + (1 - update) * (before == after))

        curvature = (loss(local + 1e-4) - 2 * loss(local) + loss(local - 1e-4)) / 1e-8
        expected += (design * (np.exp(-loss(local)) * curvature)[:, None]).T @ design / len(design)
    np.testing.assert_allclose(found, expected, atol=2e-5)  # differences of losses are good to 1e-6


@pytest.mark.parametrize("update", [1.0, 0.4])
def test_information_of_large_fields_is_a_number(update):
    # 1 - flip was zero from a field of 19 on, and with every spin updated the information 0 / 0
    fields = np.array([-800.0, -40.0, -19.07, -2.0, 0.0, 2.0, 19.07, 40.0, 800.0])
    for before in (-1.0, 1.0):
        found = np.empty(len(fields))
        fisher_weights(fields, np.full(len(fields), before), update, found)
        assert np.all(np.isfinite(found))
        assert np.all(found >= 0.0)
        with np.errstate(over="ignore"):
            flip, keep = 1 / (1 + np.exp(2 * before * fields)), 1 / (1 + np.exp(-2 * before * fields))
        expected = 4 * flip * keep if update == 1.0 else 4 * update * flip * keep**2 / (1 - update * flip)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(("n_lags", "ridge"), [(1, 1e-3), (1, 0.1), (3, 0.01)])
def test_equals_logistic_regressions_of_scikit_learn_node_by_node(n_lags, ridge):
    steps = small_steps(n_lags)
    fit = fit_kinetic(steps, ridge, tol=1e-9)
    for node in range(5):
        # scikit-learn's fields are twice ours: ridge/2 |w|^2 = ridge/8 |2 w|^2
        model = LogisticRegression(C=4 / (ridge * steps.n_steps), tol=1e-10, max_iter=10_000)
        model.fit(steps.past(slice(None)), steps.next(slice(None))[:, node])
        np.testing.assert_allclose(fit.couplings[node], model.coef_[0] / 2, atol=1e-6)
        np.testing.assert_allclose(fit.fields[node], model.intercept_[0] / 2, atol=1e-6)


@pytest.mark.parametrize("update", [1.0, 0.2])
def test_weighted_fits_with_parts_held_at_zero_equal_a_general_minimiser(update):
    steps = small_steps(weighted=True, update=update)
    free = np.ones((5, 6), dtype=bool)
    free[:, :-1] &= ~steps.own_past()
    free[2, 5] = False
    fit = fit_kinetic(steps, 0.05, update=update, free=free, tol=1e-10)
    everything = slice(None)
    for node in range(5):
        past = steps.past(everything).astype(float)
        args = past, past[:, node], steps.next(everything)[:, node], steps.weight, update

        def loss(x, node=node, args=args):
            position = np.zeros(6)
            position[free[node]] = x
            return plain_loss(*args, position) + 0.025 * (position[:-1] ** 2).sum()

        found = minimize(loss, np.zeros(free[node].sum()), tol=1e-12)  # its gradients are good to 1e-8
        np.testing.assert_allclose(np.append(fit.couplings[node], fit.fields[node])[free[node]], found.x, atol=5e-6)
    assert not fit.couplings[~free[:, :-1]].any()
    assert fit.fields[2] == 0


@pytest.mark.parametrize("update", [1.0, 0.3])
def test_an_absolute_penalty_meets_the_optimality_conditions(update):
    steps = small_steps(2, update=update)
    fit = fit_kinetic(steps, 0.01, 0.03, update, tol=1e-9)
    position = np.column_stack([fit.couplings, fit.fields])
    gradient = evaluate(steps, position, np.arange(5), update)[1]
    gradient[:, :-1] += 0.01 * fit.couplings
    zero = fit.couplings == 0
    assert 10 < zero.sum() < 45
    assert np.abs(gradient[:, :-1][zero]).max() <= 0.03 + 1e-9
    np.testing.assert_allclose(gradient[:, :-1][~zero], -0.03 * np.sign(fit.couplings[~zero]), atol=1e-9)
    np.testing.assert_allclose(gradient[:, -1], 0, atol=1e-9)
    assert fit.largest_gradient.max() <= 1e-9


@pytest.mark.slow
def test_groups_threads_and_metrics_of_some_steps_change_no_optimum(monkeypatch):
    """Rare spins among them, whose share of a random sample of steps would be chance."""
    couplings, fields = couplings_and_fields(12, scale=0.7)
    fields[:4] -= 1.8
    spins = simulate_rows(couplings, fields, 20_000)
    whole = fit_kinetic(Steps.of(spins), 1e-4, tol=1e-10)
    assert Metric(Steps.of(spins), 1.0).complete
    monkeypatch.setattr(regressions, "METRIC_WORK", 0.0)
    monkeypatch.setattr(regressions, "METRIC_ROWS", (1000, 0))
    monkeypatch.setattr(regressions, "GROUP_BYTES", 5000)
    steps = Steps.of(spins, n_jobs=2)
    metric = Metric(steps, 1.0)
    assert not metric.complete
    assert 700 < metric.n_rows < 1300
    part = fit_kinetic(steps, 1e-4, tol=1e-10)
    np.testing.assert_allclose(part.couplings, whole.couplings, atol=1e-6)
    np.testing.assert_allclose(part.fields, whole.fields, atol=1e-6)
    assert part.n_iter < 60


def test_separable_rows_and_pairs_without_a_coincidence_are_seen():
    spins = simulate_rows(*couplings_and_fields(5), 300)
    spins[1:, 2] = spins[:-1, 0]  # a copy of the past
    fit = fit_kinetic(Steps.of(spins))
    assert fit.infinite[2]
    assert not fit.infinite[[0, 1, 3, 4]].any()
    spins = simulate_rows(*couplings_and_fields(5), 300)
    spins[1:, 3][spins[:-1, 1] == 1] = -1  # never on after spin 1, else as before
    fit = fit_kinetic(Steps.of(spins))
    np.testing.assert_array_equal(np.flatnonzero(fit.infinite), [3])
    assert not fit_kinetic(Steps.of(spins), 1e-3).infinite.any()


def test_standard_errors_are_the_inverse_information_where_the_model_is_right():
    """Of 100 batches, which know it to 7 %; the larger of two is 3 % more."""
    couplings, fields = couplings_and_fields(4)
    steps = Steps.of(simulate_rows(couplings, fields, 20_000))
    fit = fit_kinetic(steps)
    errors = kinetic_errors(steps, fit, steps.total)
    larger = kinetic_errors(steps, fit, steps.total, rare=np.ones((4, 5), dtype=bool))
    information = Metric(steps, 1.0).matrices(np.column_stack([couplings, fields]), np.arange(4))
    expected = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2) / steps.n_steps)
    ratio = np.column_stack([errors.couplings, errors.fields]) / expected
    assert 0.95 < ratio.mean() < 1.05  # 20 of them: 1.6 %
    assert ratio.std() < 0.12
    np.testing.assert_array_equal(larger.couplings >= errors.couplings, True)
    least = np.column_stack([larger.couplings, larger.fields]) / expected
    assert least.min() > 0.98
    assert 95 < errors.degrees_of_freedom < 101
