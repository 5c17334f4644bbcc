"""Interaction screening against a generic solver, exact weights, and data that determine no couplings."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from infer.estimators.rows import SpinRows
from infer.estimators.screening import solver as _screening_solver
from infer.estimators.screening.estimator import InteractionScreening
from infer.estimators.screening.screening_kernels import descend
from infer.estimators.screening.solver import screening_sums
from tests import exact


def plain_objective(spins, couplings, field, node, logarithm, weight=None):
    """Screening sum of one node, or its logarithm, written out."""
    margins = spins[:, node] * (spins @ couplings + field)
    total = np.average(np.exp(-margins), weights=weight)
    return np.log(total) if logarithm else total


def generic_solution(spins, node, alpha, logarithm, weight=None):
    """Couplings and field of one node by SLSQP in split variables J = p - q, p and q >= 0."""
    share = np.full(len(spins), 1 / len(spins)) if weight is None else weight / weight.sum()
    others = np.arange(spins.shape[1]) != node
    features = spins[:, node, None] * np.column_stack([spins[:, others], np.ones(len(spins))]).astype(float)
    n = features.shape[1] - 1

    def value(x):
        w = np.append(x[:n] - x[n : 2 * n], x[-1])
        terms = share * np.exp(-features @ w)
        total, slope = terms.sum(), -features.T @ terms
        if logarithm:
            total, slope = np.log(total), slope / total
        return total + alpha * x[: 2 * n].sum(), np.concatenate([slope[:n] + alpha, alpha - slope[:n], slope[n:]])

    bounds = [(0, None)] * (2 * n) + [(None, None)]
    found = minimize(
        value, np.zeros(2 * n + 1), jac=True, method="SLSQP", bounds=bounds, options={"ftol": 1e-16, "maxiter": 2000}
    )
    return np.insert(found.x[:n] - found.x[n : 2 * n], node, 0.0), found.x[-1]


@pytest.mark.parametrize("objective", ["rise", "logrise"])
@pytest.mark.parametrize(("scale", "alpha"), [(0.7, 0.02), (1.5, 0.1), (1.0, 0.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_a_generic_solver(objective, scale, alpha, weighted):
    rng = np.random.default_rng(5)
    n_spins = 7
    spins = exact.draw(
        exact.random_couplings(n_spins, scale, rng), 2000, rng.normal(0, 0.3, n_spins), temperature=1.2, seed=rng
    )
    weight = rng.integers(0, 4, len(spins)).astype(float) if weighted else None
    model = InteractionScreening(objective, alpha, fit_fields=True).fit(spins, sample_weight=weight)
    assert model.converged_
    assert model.residual_ <= 1e-8
    for node in range(n_spins):
        couplings, field = generic_solution(spins, node, alpha, objective == "logrise", weight)
        np.testing.assert_allclose(model.row_couplings_[node], couplings, atol=1e-5)
        assert model.fields_[node] == pytest.approx(field, abs=1e-5)
    np.testing.assert_array_equal(model.couplings_, (model.row_couplings_ + model.row_couplings_.T) / 2)
    if alpha == 0.1:
        assert (model.row_couplings_ == 0).sum() > n_spins  # the penalty does set couplings to zero


@pytest.mark.parametrize("objective", ["rise", "logrise"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_exact_weights_give_back_couplings_and_fields(objective, scale):
    couplings = exact.random_couplings(8, scale, 1)
    fields = np.random.default_rng(2).normal(0, 0.3, 8)
    weight = exact.boltzmann(couplings, fields)
    model = InteractionScreening(objective, 0.0, fit_fields=True, tol=1e-12, errors=False)
    model.fit(exact.all_states(8), sample_weight=weight)
    assert model.converged_
    np.testing.assert_allclose(model.couplings_, couplings, atol=1e-6)
    np.testing.assert_allclose(model.fields_, fields, atol=1e-6)


def test_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(3)
    spins = rng.choice([-1, 1], size=(9000, 5)).astype(np.int8)  # more rows than a chunk
    weight = rng.uniform(0.1, 2, len(spins))
    parameters = rng.normal(0, 0.4, (5, 6))
    parameters[np.arange(5), np.arange(5)] = 0.0
    targets = np.array([1, 3, 4])
    sums, gradients, margins = screening_sums(SpinRows(spins, weight), parameters[targets], targets)
    for row, node in enumerate(targets):
        theta = parameters[node]
        assert sums[row] == pytest.approx(plain_objective(spins, theta[:-1], theta[-1], node, False, weight), rel=1e-12)
        assert margins[row] == pytest.approx((spins[:, node] * (spins @ theta[:-1] + theta[-1])).min())
        for j in range(6):
            if j == node:
                continue
            step = 1e-5 * (np.arange(6) == j)
            up, down = theta + step, theta - step
            slope = (
                plain_objective(spins, up[:-1], up[-1], node, False, weight)
                - plain_objective(spins, down[:-1], down[-1], node, False, weight)
            ) / 2e-5
            assert gradients[row, j] == pytest.approx(slope, abs=1e-8)


def test_coordinate_descent_against_its_plain_twin():
    rng = np.random.default_rng(4)
    factors = rng.normal(size=(3, 6, 9))
    hessians = factors @ factors.transpose(0, 2, 1)
    gradients, start = rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    penalties, counts = rng.uniform(0, 2, (3, 6)), np.array([6, 4, 0])
    found = descend(hessians, gradients, start, penalties, counts, np.full(3, 1e-13), 10_000)
    compiled = descend.py_func(hessians, gradients, start, penalties, counts, np.full(3, 1e-13), 10_000)
    np.testing.assert_allclose(found, compiled, atol=1e-12)
    for p, n in enumerate(counts):
        slope = gradients[p, :n] + hessians[p, :n, :n] @ (found[p, :n] - start[p, :n])
        violation = np.where(
            found[p, :n] == 0,
            np.maximum(np.abs(slope) - penalties[p, :n], 0),
            np.abs(slope + np.sign(found[p, :n]) * penalties[p, :n]),
        )
        assert np.all(violation < 1e-10)
        np.testing.assert_array_equal(found[p, n:], start[p, n:])


def test_curvatures_from_few_rows_lead_to_the_same_optimum(monkeypatch):
    spins = exact.draw(exact.random_couplings(12, 1.0, 6), 4000, seed=7)
    best = InteractionScreening(alpha=0.01, fit_fields=True).fit(spins)
    monkeypatch.setattr(_screening_solver, "MODEL_ROWS", (150, 1))
    rough = InteractionScreening(alpha=0.01, fit_fields=True).fit(spins)
    assert best.converged_
    assert rough.converged_
    np.testing.assert_allclose(rough.couplings_, best.couplings_, atol=1e-6)


@pytest.mark.parametrize("objective", ["rise", "logrise"])
def test_same_result_for_any_number_of_jobs(objective, monkeypatch):
    monkeypatch.setattr(_screening_solver, "BLOCK_VALUES", 1 << 17)  # several blocks of nodes
    spins = np.random.default_rng(14).choice([-1, 1], size=(9000, 20))
    one, two = (InteractionScreening(objective, 0.01, n_jobs=n, tol=1e-6, fit_fields=False).fit(spins) for n in (1, 2))
    np.testing.assert_array_equal(one.row_couplings_, two.row_couplings_)


def test_default_penalty_counts_samples_and_finds_the_graph():
    # a ring of 10 spins: as in Lokhov et al., couplings above half of the smallest true one are the graph
    couplings = 0.6 * (np.roll(np.eye(10), 1, axis=0) + np.roll(np.eye(10), -1, axis=0))
    spins = exact.draw(couplings, 4000, seed=8)
    for objective, c in [("rise", 0.4), ("logrise", 0.8)]:
        model = InteractionScreening(objective, fit_fields=False).fit(spins)
        assert model.alpha_ == pytest.approx(c * np.sqrt(np.log(100 / 0.05) / 4000))
        np.testing.assert_array_equal(np.abs(model.couplings_) > 0.3, couplings > 0)
        absent = (couplings == 0) & ~np.eye(10, dtype=bool)
        assert (model.row_couplings_[absent] == 0).mean() > 0.5
        assert not np.any(InteractionScreening(objective, 0.0, fit_fields=False).fit(spins).row_couplings_[absent] == 0)
        twice = InteractionScreening(objective, fit_fields=False).fit(spins, sample_weight=np.full(4000, 2.0))
        assert twice.alpha_ == pytest.approx(model.alpha_ / np.sqrt(2))


@pytest.mark.parametrize("objective", ["rise", "logrise"])
def test_data_without_an_optimum_are_named(objective):
    spins = exact.draw(exact.random_couplings(6, 0.5, 9), 500, seed=9)
    spins[:, 4] = spins[:, 1]
    with pytest.warns(
        ConvergenceWarning, match=r"1 pair of spins never takes.*first: spin 1 at \+1 with spin 4 at -1.*raise alpha"
    ):
        model = InteractionScreening(objective, 0.0, fit_fields=False).fit(spins)
    assert not model.converged_
    assert np.isfinite(model.couplings_).all()
    few = np.random.default_rng(0).choice([-1, 1], size=(8, 12))
    with pytest.warns(ConvergenceWarning, match="raise alpha"):
        InteractionScreening(objective, 0.0, fit_fields=False).fit(few)
    # with a penalty the sum itself has an optimum, and the solver finds it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert InteractionScreening("rise", 0.01, fit_fields=False).fit(few).converged_


def test_states_never_seen_together_are_noticed():
    # spins 0 and 1 are never both down: no margin is positive everywhere, yet couplings run away slowly
    rng = np.random.default_rng(10)
    spins = rng.choice([-1, 1], size=(300, 4))
    spins = spins[(spins[:, 0] == 1) | (spins[:, 1] == 1)]
    with pytest.warns(ConvergenceWarning, match="1 pair of spins never takes.*first: spin 0 at -1 with spin 1 at -1"):
        model = InteractionScreening("rise", 0.0, fit_fields=True).fit(spins)
    assert not model.converged_


def test_constant_spins_keep_a_field_only():
    spins = exact.draw(exact.random_couplings(5, 0.5, 10), 300, seed=10)
    spins[:, 3] = -1
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        model = InteractionScreening(fit_fields=True, alpha=0.05).fit(spins)
    assert np.all(model.couplings_[3] == 0.0)
    assert model.fields_[3] == pytest.approx(-0.5 * np.log(601.0))
    others = InteractionScreening(fit_fields=True, alpha=0.05).fit(np.delete(spins, 3, axis=1))
    np.testing.assert_allclose(np.delete(np.delete(model.couplings_, 3, 0), 3, 1), others.couplings_, atol=1e-9)


def test_too_few_steps_are_admitted():
    spins = exact.draw(exact.random_couplings(6, 1.0, 11), 500, seed=11)
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 Newton steps"):
        model = InteractionScreening(alpha=0.01, max_iter=1, fit_fields=False).fit(spins)
    assert not model.converged_


def test_goes_with_the_tools_of_scikit_learn():
    spins = exact.draw(exact.random_couplings(6, 1.0, 12), 400, seed=12)
    search = GridSearchCV(InteractionScreening(fit_fields=False), {"alpha": [0.01, 0.1, 1.5]}, cv=3).fit(spins)
    assert search.best_params_["alpha"] < 1.5
    model = clone(search.best_estimator_).fit(spins)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).couplings_, model.couplings_)
    with pytest.raises(ValueError, match="'objective' parameter of InteractionScreening must be a str among"):
        InteractionScreening("magic", fit_fields=False).fit(spins)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["rise", "logrise"])
def test_infinite_couplings_are_found_where_a_linear_program_finds_them(objective):
    # no finite optimum: some couplings and field have no negative margin and a positive one
    rng = np.random.default_rng(13)
    outcomes = []
    for _ in range(25):
        n_spins, n_samples = int(rng.integers(3, 8)), int(10 ** rng.uniform(1.3, 2.5))
        couplings, fields = exact.random_couplings(n_spins, 1.0, rng), rng.normal(0, 0.3, n_spins)
        spins = exact.draw(couplings, n_samples, fields, temperature=rng.uniform(0.3, 2), seed=rng)
        spins = spins[:, spins.std(axis=0) > 0]
        if spins.shape[1] < 2:
            continue
        margins = 0.0
        for node in range(spins.shape[1]):
            features = spins[:, node, None] * np.column_stack([np.delete(spins, node, axis=1), np.ones(len(spins))])
            found = linprog(-features.sum(axis=0), A_ub=-features, b_ub=np.zeros(len(spins)), bounds=(-1, 1))
            margins = max(margins, -found.fun)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = InteractionScreening(objective, 0.0, fit_fields=True).fit(spins)
        assert model.converged_ == (margins < 1e-6)
        outcomes.append(model.converged_)
    assert 3 < sum(outcomes) < len(outcomes) - 3  # both kinds occur
