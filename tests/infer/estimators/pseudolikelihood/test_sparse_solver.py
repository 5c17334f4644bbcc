"""Pseudo-likelihood with l1 and elastic-net penalties against a generic convex solver and the optimality conditions."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.pseudolikelihood.lasso_kernels import lasso_steps
from infer.estimators.pseudolikelihood.sparse import fit_sparse_nodes, violations
from infer.estimators.rows import SpinRows
from tests import exact


def some_spins(n_spins=7, n_samples=2000, scale=0.8, seed=0):
    rng = np.random.default_rng(seed)
    J, h = exact.random_couplings(n_spins, scale, rng), rng.normal(0, 0.3, n_spins)
    return exact.draw(J, n_samples, h, seed=rng)


def generic_solution(spins, node, ridge, sparsity, fit_fields, weight):
    """One node by sequential quadratic programming on w = up - down with up, down >= 0."""
    others = np.delete(np.arange(spins.shape[1]), node)
    S, s = spins[:, others].astype(float), spins[:, node]
    n, share = len(others), weight / weight.sum()

    def objective(v):
        w, b = v[:n] - v[n:-1], v[-1] * fit_fields
        local = S @ w + b
        residual = share * (np.tanh(local) - s)
        gradient = S.T @ residual + ridge * w
        value = share @ np.logaddexp(0, -2 * s * local) + ridge / 2 * w @ w + sparsity * v[:-1].sum()
        return value, np.concatenate([gradient + sparsity, sparsity - gradient, [residual.sum() * fit_fields]])

    bounds = [(0, None)] * (2 * n) + [(None, None)]
    options = {"ftol": 1e-15, "maxiter": 1000}
    found = minimize(objective, np.full(2 * n + 1, 0.05), jac=True, method="SLSQP", bounds=bounds, options=options).x
    return others, found[:n] - found[n:-1], found[-1] * fit_fields


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("penalty", "alpha"), [("l1", 0.01), ("l1", 0.1), ("elasticnet", 0.05)])
def test_equals_a_generic_convex_solver(penalty, alpha, fit_fields, weighted):
    spins = some_spins()
    weight = np.random.default_rng(1).uniform(0, 2, len(spins)) if weighted else np.ones(len(spins))
    model = PseudoLikelihood(penalty, alpha, l1_ratio=0.7, fit_fields=fit_fields)
    model.fit(spins, sample_weight=weight if weighted else None)
    share = 1.0 if penalty == "l1" else 0.7
    assert model.converged_
    for node in (0, 3):
        others, w, b = generic_solution(spins, node, alpha * (1 - share), alpha * share, fit_fields, weight)
        np.testing.assert_allclose(model.couplings_by_node_[node, others], w, atol=1e-5)
        assert model.fields_[node] == pytest.approx(b, abs=1e-5)


def clustered_spins(n_spins, n_samples=4000, flips=0.05):
    """Samples around three patterns: many equal terms, whose rounding errors add up instead of cancelling."""
    rng = np.random.default_rng(2)
    patterns = rng.choice([-1, 1], size=(3, n_spins))
    spins = patterns[rng.integers(0, 3, n_samples)] * np.where(rng.random((n_samples, n_spins)) < flips, -1, 1)
    return spins.astype(np.int8)


@pytest.mark.parametrize("sparsity", [0.003, 0.03, 0.3])
def test_optimality_conditions_hold_in_the_ordered_phase(sparsity):
    """Samples in clusters around patterns, where the shared metric is poor; conditions are recomputed."""
    spins = clustered_spins(40)
    fit = fit_sparse_nodes(SpinRows(spins), 0.0, sparsity, True, 1e-6, 500)
    residual = np.tanh(spins @ fit.couplings.T + fit.fields) - spins
    gradient = np.column_stack([residual.T @ spins, residual.sum(axis=0)]) / len(spins)
    missed = violations(gradient, np.column_stack([fit.couplings, fit.fields]), sparsity, np.arange(40))
    assert missed.max() <= 1e-6 * (1 + 1e-6)
    np.testing.assert_allclose(missed.max(axis=1), fit.largest_gradient, atol=1e-12)
    assert np.all(np.diag(fit.couplings) == 0)


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("n_spins", [40, 80])
def test_few_passes_reach_the_default_tolerance_in_clusters(n_spins, fit_fields):
    """Rounding errors of single precision must not refuse steps until they vanish (46 spins failed in 5000 passes)."""
    model = PseudoLikelihood("l1", 0.3, fit_fields=fit_fields).fit(clustered_spins(n_spins))
    assert model.converged_
    assert model.n_iter_ <= 20


KERNEL_CHECK = """
import sys
import numpy as np
from threadpoolctl import threadpool_info
from infer.estimators.pseudolikelihood.sparse import fit_sparse_nodes
from infer.estimators.rows import SpinRows
used = {pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"}
fit = fit_sparse_nodes(SpinRows(np.load(sys.argv[2])), 0.0, 0.3, True, 1e-6, 500)
print(used == {sys.argv[1]}, fit.largest_gradient.max(), fit.n_iter)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["Haswell", "SkylakeX"])
def test_clusters_converge_with_each_blas_kernel(kernel, tmp_path):
    np.save(tmp_path / "spins.npy", clustered_spins(80))
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    command = [sys.executable, "-c", KERNEL_CHECK, kernel, str(tmp_path / "spins.npy")]
    used, largest, n_iter = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    if used != "True":
        pytest.skip(f"this processor or this BLAS does not run the {kernel} kernel")
    assert float(largest) <= 1e-6
    assert int(n_iter) <= 20


def test_couplings_vanish_one_after_the_other():
    spins = some_spins()
    counts = [
        int((PseudoLikelihood("l1", alpha, fit_fields=False).fit(spins).couplings_ != 0).sum())
        for alpha in (0.001, 0.05, 0.2, 1.0)
    ]
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0


def test_elastic_net_ends_at_l1_and_l2():
    spins = some_spins()
    for ratio, penalty in ((1.0, "l1"), (0.0, "l2")):
        net = PseudoLikelihood("elasticnet", 0.05, l1_ratio=ratio, tol=1e-8, fit_fields=False).fit(spins)
        np.testing.assert_allclose(
            net.couplings_, PseudoLikelihood(penalty, 0.05, tol=1e-8, fit_fields=False).fit(spins).couplings_, atol=1e-6
        )


def test_coordinate_descent_minimises_its_model():
    """Against proximal gradient descent on the same quadratic model, written out plainly."""
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(5, 5))
    moments = basis @ basis.T / 5 + np.eye(5)
    gradient, position = rng.normal(size=(1, 5)), rng.normal(size=(1, 5)) * [[1, 0, 1, 0, 1]]
    along, scale, bend, ridge, sparsity = rng.normal(size=(1, 5)), np.array([0.7]), np.array([0.2]), 0.1, 0.4
    position[0, 1] = 0.0
    found = np.zeros((1, 5))
    lasso_steps(
        moments,
        gradient,
        position,
        scale,
        bend,
        along,
        ridge,
        sparsity,
        np.array([1]),
        5,
        np.array([1e-14]),
        10_000,
        found,
    )
    matrix = scale[0] * moments + bend[0] * np.outer(along, along) + ridge * np.diag([1, 1, 1, 1, 0])
    pace = 1 / np.linalg.eigvalsh(matrix).max()
    weight = sparsity * np.array([1, 1, 1, 1, 0])
    step = np.zeros(5)
    for _ in range(5000):
        target = position[0] + step - pace * (gradient[0] + matrix @ step)
        step = np.sign(target) * np.maximum(np.abs(target) - pace * weight, 0) - position[0]
        step[1] = 0.0
    np.testing.assert_allclose(found[0], step, atol=1e-10)


def test_standard_errors_are_given_for_couplings_that_are_not_zero():
    spins = some_spins()
    model = PseudoLikelihood("l1", 0.05, fit_fields=False).fit(spins)
    on = model.couplings_ != 0
    assert np.all(model.couplings_std_[on] > 0)
    assert np.all(model.couplings_std_[~on] == 0)


def test_separable_samples_have_a_finite_solution():
    spins = np.random.default_rng(4).choice([-1, 1], size=(15, 30))
    model = PseudoLikelihood("l1", 0.1, fit_fields=False).fit(spins)
    assert model.converged_
    assert np.isfinite(model.couplings_).all()
