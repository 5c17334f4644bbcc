"""Pseudo-likelihood over symmetric couplings against a generic optimiser and exact enumeration."""

import numpy as np
import pytest
from scipy.optimize import minimize

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.pseudolikelihood.joint import _JointSolver
from infer.estimators.rows import SpinRows
from tests import exact


def system(n_spins=7, n_samples=2000, seed=0):
    rng = np.random.default_rng(seed)
    J, h = exact.random_couplings(n_spins, 0.8, rng), rng.normal(0, 0.3, n_spins)
    return J, h, exact.draw(J, n_samples, h, seed=rng)


def generic_solution(spins, alpha, fit_fields, weight):
    n_spins, share = spins.shape[1], weight / weight.sum()
    upper = np.triu_indices(n_spins, 1)

    def objective(v):
        J = np.zeros((n_spins, n_spins))
        J[upper] = v[: len(upper[0])]
        J += J.T
        local = spins @ J + v[len(upper[0]) :] * fit_fields
        residual = (np.tanh(local) - spins) * share[:, None]
        gradient = residual.T @ spins + alpha * J
        value = share @ np.logaddexp(0, -2 * spins * local).sum(axis=1) + alpha / 2 * (J**2).sum()
        return value, np.concatenate([(gradient + gradient.T)[upper], residual.sum(axis=0) * fit_fields])

    start = np.zeros(len(upper[0]) + n_spins)
    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-8}).x
    J = np.zeros((n_spins, n_spins))
    J[upper] = found[: len(upper[0])]
    return J + J.T, found[len(upper[0]) :] * fit_fields


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_a_generic_optimiser(fit_fields, alpha, weighted):
    _, _, spins = system()
    weight = np.random.default_rng(1).uniform(0, 2, len(spins)) if weighted else np.ones(len(spins))
    model = PseudoLikelihood(alpha=alpha, symmetrisation="joint", fit_fields=fit_fields)
    model.fit(spins, sample_weight=weight if weighted else None)
    J, h = generic_solution(spins.astype(float), alpha, fit_fields, weight)
    assert model.converged_
    np.testing.assert_array_equal(model.couplings_, model.couplings_.T)
    np.testing.assert_allclose(model.couplings_, J, atol=1e-5)
    np.testing.assert_allclose(model.fields_, h, atol=1e-5)


def test_true_couplings_in_the_limit_of_infinite_data():
    J, h, _ = system(8)
    model = PseudoLikelihood(symmetrisation="joint", fit_fields=True, tol=1e-9, alpha=0.0, errors=False)
    model.fit(exact.all_states(8), sample_weight=exact.boltzmann(J, h))
    np.testing.assert_allclose(model.couplings_, J, atol=1e-6)
    np.testing.assert_allclose(model.fields_, h, atol=1e-6)


def test_gradient_is_below_tol_when_converged_and_few_passes_do():
    _, _, spins = system(12, 5000)
    model = PseudoLikelihood(symmetrisation="joint", alpha=0.0, fit_fields=False).fit(spins)
    gradient = (np.tanh(spins @ model.couplings_) - spins).T @ spins / len(spins)
    np.fill_diagonal(gradient, 0.0)
    assert model.converged_
    assert np.abs(gradient + gradient.T).max() / 2 <= 1e-6 * (1 + 1e-6)
    assert model.n_iter_ <= 20


@pytest.mark.parametrize("fit_fields", [False, True])
def test_metric_inverts_its_model(fit_fields):
    """Conjugate gradients against the dense matrix of the modelled Hessian on symmetric couplings and fields."""
    _, _, spins = system(5)
    solver = _JointSolver(SpinRows(spins), 0.1, fit_fields)
    start = np.zeros((5, 6))
    start[:, :-1] = exact.random_couplings(5, 0.5, 2)
    solver.points = solver.evaluate(start, np.arange(5), np.float64)
    apply = solver._modelled_hessian()
    upper = np.triu_indices(5, 1)

    def unpack(v):
        out = np.zeros((5, 6))
        out[:, :-1][upper] = v[:10]
        out[:, :-1] += out[:, :-1].T
        out[:, -1] = v[10:]
        return out

    units = np.eye(15 if fit_fields else 10)
    basis = [unpack(np.append(unit, np.zeros(15 - len(unit)))) for unit in units]
    dense = np.array([[(a * apply(b)).sum() for b in basis] for a in basis])
    assert np.linalg.eigvalsh(dense).min() > 0
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    right = solver.points.gradient
    found = solver._solve(right)
    exact_solution = np.linalg.solve(dense, [(a * right).sum() for a in basis])
    expected = sum(c * a for c, a in zip(exact_solution, basis, strict=True))
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_what_joint_does_not_offer_is_refused():
    _, _, spins = system()
    with pytest.raises(ValueError, match="takes no l1 penalty"):
        PseudoLikelihood("l1", 0.1, symmetrisation="joint", fit_fields=False).fit(spins)
    with pytest.raises(AttributeError, match="bootstrap need symmetrisation='mean'"):
        PseudoLikelihood(symmetrisation="joint", alpha=0.0, fit_fields=False).fit(spins).bootstrap()


def test_separable_samples_warn():
    spins = np.random.default_rng(3).choice([-1, 1], size=(12, 20))
    with pytest.warns(UserWarning, match="alpha > 0"):
        model = PseudoLikelihood(symmetrisation="joint", alpha=0.0, fit_fields=False).fit(spins)
    assert np.isfinite(model.couplings_).all()
    assert not model.converged_


def test_errors_of_two_spins_are_those_of_the_node_wise_fit():
    """Both nodes of a pair have the same gradient, so that fits and errors agree."""
    spins = exact.draw(exact.random_couplings(2, 0.8, 3), 600, seed=3)
    joint, mean = (
        PseudoLikelihood(symmetrisation=kind, alpha=0.0, fit_fields=False).fit(spins) for kind in ("joint", "mean")
    )
    np.testing.assert_allclose(joint.couplings_std_, mean.couplings_std_, rtol=1e-4)
    np.testing.assert_allclose(joint.confidence_interval(), mean.confidence_interval(), rtol=1e-4)
    assert joint.errors_freedom_ == mean.errors_freedom_
