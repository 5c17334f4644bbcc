"""Minimum probability flow: exact with exact weights, and held to the master equation it comes from."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.newton import Pairs
from infer.estimators.probability_flow import MinimumProbabilityFlow, flow_curvature, probability_flow
from infer.estimators.rows import SpinRows
from tests import exact


@pytest.mark.parametrize(("n_spins", "scale"), [(5, 0.5), (8, 1.0), (8, 3.0), (10, 2.0)])
@pytest.mark.parametrize("fit_fields", [False, True])
def test_exact_weights_give_back_couplings_and_fields(n_spins, scale, fit_fields):
    couplings = exact.random_couplings(n_spins, scale, 1)
    fields = np.random.default_rng(2).normal(0, 0.4, n_spins) if fit_fields else np.zeros(n_spins)
    weight = exact.boltzmann(couplings, fields)
    model = MinimumProbabilityFlow(fit_fields=fit_fields, tol=1e-11, alpha=0.0, errors=False)
    model.fit(exact.all_states(n_spins), sample_weight=weight)
    assert model.converged_
    np.testing.assert_allclose(model.couplings_, couplings, atol=1e-6)
    np.testing.assert_allclose(model.fields_, fields, atol=1e-6)


def test_flow_is_the_rate_of_leaving_the_samples():
    # written out from the energies of states and their neighbours
    rng = np.random.default_rng(3)
    couplings, fields = exact.random_couplings(6, 1.0, rng), rng.normal(size=6)
    weight = rng.dirichlet(np.ones(64))
    states, energies = exact.all_states(6), exact.energies(couplings, fields)
    flow = 0.0
    for i in range(6):
        flipped = states.copy()
        flipped[:, i] *= -1
        flow += weight @ np.exp((energies - energies[exact.state_index(flipped)]) / 2)
    found, _, _, margin = probability_flow(SpinRows(states, weight), couplings, fields)
    assert found == pytest.approx(flow, rel=1e-12)
    assert margin == pytest.approx((states * (states @ couplings + fields)).min())


def test_derivatives_agree_with_finite_differences():
    rng = np.random.default_rng(4)
    spins = rng.choice([-1, 1], size=(5000, 5)).astype(np.int8)  # more rows than a chunk
    rows, pairs = SpinRows(spins, rng.uniform(0.1, 2, 5000)), Pairs(5, True)
    vector, direction = rng.normal(0, 0.4, pairs.size), rng.normal(size=pairs.size)

    def value_and_gradient(x):
        value, by_couplings, by_fields, _ = probability_flow(rows, *pairs.unpack(x))
        return value, pairs.pack(by_couplings, by_fields)

    up, down = value_and_gradient(vector + 1e-5 * direction), value_and_gradient(vector - 1e-5 * direction)
    assert value_and_gradient(vector)[1] @ direction == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-7)
    curvature = pairs.pack(*flow_curvature(rows, *pairs.unpack(vector), *pairs.unpack(direction)))
    np.testing.assert_allclose(curvature, (up[1] - down[1]) / 2e-5, atol=1e-7)


def test_penalty_is_that_of_the_docstring():
    spins = exact.draw(exact.random_couplings(6, 1.0, 5), 500, seed=5)
    alpha = 0.3
    model = MinimumProbabilityFlow(alpha, fit_fields=False).fit(spins)
    assert model.converged_

    def objective(couplings):
        terms = np.exp(-spins * (spins @ couplings))
        return terms.sum(axis=1).mean() + alpha / 2 * (couplings**2).sum()

    best = objective(model.couplings_)
    rng = np.random.default_rng(6)
    for _ in range(20):
        change = exact.random_couplings(6, 0.01, rng)
        # second order above the minimum, to both sides
        ends = [objective(model.couplings_ + sign * change) for sign in (1, -1)]
        assert min(ends) > best
        assert abs(ends[0] - ends[1]) < 0.05 * (sum(ends) - 2 * best) + 1e-9
    assert (
        np.abs(model.couplings_).max()
        < np.abs(MinimumProbabilityFlow(alpha=0.0, fit_fields=False).fit(spins).couplings_).max()
    )


def test_samples_give_couplings_within_their_noise():
    couplings = exact.random_couplings(10, 0.7, 7)
    errors = []
    for n_samples in (1000, 16_000):
        spins = exact.draw(couplings, n_samples, seed=8)
        errors.append(
            np.sqrt(
                np.mean((MinimumProbabilityFlow(alpha=0.0, fit_fields=False).fit(spins).couplings_ - couplings) ** 2)
            )
        )
    assert errors[0] < 2 / np.sqrt(1000)
    assert 2.8 < errors[0] / errors[1] < 5.7  # 4 but for a scatter of 1 / sqrt(2 x 45) in each


def test_data_without_a_minimum_are_named():
    spins = exact.draw(exact.random_couplings(6, 0.5, 9), 500, seed=9)
    spins[:, 4] = spins[:, 1]
    few = np.random.default_rng(0).choice([-1, 1], size=(8, 12))
    for data in (spins, few):
        with pytest.warns(ConvergenceWarning, match="couplings are infinite.*pass alpha > 0"):
            model = MinimumProbabilityFlow(alpha=0.0, fit_fields=False).fit(data)
        assert not model.converged_
        assert np.isfinite(model.couplings_).all()
        assert MinimumProbabilityFlow(0.01, fit_fields=False).fit(data).converged_
    with pytest.warns(ConvergenceWarning, match="no convergence in 1 Newton steps"):
        MinimumProbabilityFlow(0.01, max_iter=1, fit_fields=False).fit(spins)


def test_constant_spins_keep_a_field_only():
    spins = exact.draw(exact.random_couplings(5, 0.5, 10), 300, seed=10)
    spins[:, 3] = 1
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        model = MinimumProbabilityFlow(fit_fields=True, alpha=0.0).fit(spins)
    assert np.all(model.couplings_[3] == 0.0)
    assert model.fields_[3] == pytest.approx(0.5 * np.log(601.0))
    others = MinimumProbabilityFlow(fit_fields=True, alpha=0.0).fit(np.delete(spins, 3, axis=1))
    np.testing.assert_allclose(np.delete(np.delete(model.couplings_, 3, 0), 3, 1), others.couplings_, atol=1e-8)


def test_clone_and_pickle():
    spins = exact.draw(exact.random_couplings(6, 1.0, 12), 400, seed=12)
    model = clone(MinimumProbabilityFlow(0.01, fit_fields=False)).fit(spins)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).couplings_, model.couplings_)


def test_a_single_varying_spin_gets_its_field():
    spins = np.ones((8, 2), dtype=int)
    spins[:2, 0] = -1
    with pytest.warns(ConvergenceWarning, match="spin 1 never change"):
        model = MinimumProbabilityFlow(fit_fields=True, alpha=0.0).fit(spins)
    assert model.fields_[0] == pytest.approx(np.arctanh(0.5))
    assert not np.any(model.couplings_)
