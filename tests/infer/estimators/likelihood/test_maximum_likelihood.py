"""Maximum likelihood: moments matched exactly, or by chains to within what they say."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from infer import MaximumLikelihood, fit_from_moments
from infer.estimators.likelihood import maximise as maximise_module
from infer.estimators.likelihood.acceptance import check
from tests import exact


def model(n_spins, scale, seed, with_fields=True):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(n_spins, scale, rng), rng.normal(0, 0.4, n_spins) * with_fields


# --- exact -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_spins", "scale"), [(2, 1.0), (7, 0.5), (10, 2.0), (12, 1.0)])
@pytest.mark.parametrize("fit_fields", [False, True])
def test_exact_weights_give_back_couplings_and_fields(n_spins, scale, fit_fields):
    couplings, fields = model(n_spins, scale, 1, fit_fields)
    weight = 1000 * exact.boltzmann(couplings, fields)
    fitted = MaximumLikelihood("exact", 0.0, fit_fields=fit_fields, tol=1e-11)
    fitted.fit(exact.all_states(n_spins), sample_weight=weight)
    assert fitted.converged_
    np.testing.assert_allclose(fitted.couplings_, couplings, atol=1e-6)
    np.testing.assert_allclose(fitted.fields_, fields, atol=1e-6)


def test_moments_of_the_fit_are_those_of_the_samples():
    couplings, fields = model(9, 0.8, 2)
    spins = exact.draw(couplings, 500, fields, seed=2).astype(float)
    weight = np.random.default_rng(3).uniform(0, 2, 500)
    fitted = MaximumLikelihood(alpha=0.0, fit_fields=True).fit(spins, sample_weight=weight)
    means, second = exact.moments(fitted.couplings_, fitted.fields_)
    np.testing.assert_allclose(means, np.average(spins, axis=0, weights=weight), atol=2e-8)
    np.testing.assert_allclose(second, (spins * weight[:, None]).T @ spins / weight.sum(), atol=2e-8)
    assert fitted.mismatch_ <= fitted.tol_ == 1e-8


def test_it_is_the_maximum_of_the_penalised_likelihood():
    couplings, fields = model(6, 1.0, 4)
    spins = exact.draw(couplings, 300, fields, seed=4)
    alpha = 0.2
    fitted = MaximumLikelihood("exact", alpha, fit_fields=True).fit(spins)

    def objective(J, h):
        logs = np.log(exact.boltzmann(J, h)[exact.state_index(spins)])
        return logs.mean() - alpha / 2 * np.sum(np.triu(J) ** 2)

    best, step = objective(fitted.couplings_, fitted.fields_), 1e-4
    rng = np.random.default_rng(5)
    for _ in range(10):
        change, field_change = exact.random_couplings(6, 1.0, rng), rng.normal(size=6)
        ends = [objective(fitted.couplings_ + s * change, fitted.fields_ + s * field_change) for s in (step, -step)]
        assert max(ends) < best
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_twenty_spins_are_enumerated():
    couplings, fields = model(20, 0.7, 6)
    spins = exact.draw(couplings, 3000, fields, seed=6)
    fitted = MaximumLikelihood(alpha=0.0, fit_fields=True).fit(spins)
    assert fitted.converged_
    assert np.sqrt(np.mean((fitted.couplings_ - couplings) ** 2)) < 2 / np.sqrt(3000)
    with pytest.raises(ValueError, match="at most 20 spins, X has 21 that vary: pass method='pcd'"):
        MaximumLikelihood("exact", alpha=0.0, fit_fields=False).fit(
            np.random.default_rng(0).choice([-1, 1], size=(100, 21))
        )


def test_moments_that_no_finite_couplings_have():
    couplings, _ = model(6, 0.5, 7)
    spins = exact.draw(couplings, 300, seed=7)
    spins[:, 4] = spins[:, 1]
    with pytest.warns(ConvergenceWarning, match="best couplings are infinite.*pass alpha > 0"):
        fitted = MaximumLikelihood("exact", 0.0).fit(spins)
    assert not fitted.converged_
    assert np.isfinite(fitted.couplings_).all()
    assert MaximumLikelihood("exact", 0.01, fit_fields=False).fit(spins).converged_
    with pytest.warns(ConvergenceWarning, match="no convergence in 1 Newton steps"):
        MaximumLikelihood("exact", 0.01, max_iter=1, fit_fields=False).fit(spins)


def test_moments_are_enough():
    couplings, fields = model(8, 1.0, 8)
    found = fit_from_moments(*exact.moments(couplings, fields), 1000, alpha=0.0, tol=1e-11)
    assert found.converged
    np.testing.assert_allclose(found.couplings, couplings, atol=1e-7)
    np.testing.assert_allclose(found.fields, fields, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": [0.1]}, r"means must have shape \(n_spins,\) with at least two spins, got \(1,\)"),
        ({"second_moments": np.eye(3)}, r"second_moments must have shape \(2, 2\) to fit the means, got \(3, 3\)"),
        ({"means": [np.nan, 0.0]}, "must be finite"),
        ({"second_moments": [[1, 0.2], [0, 1]]}, r"\[0, 1\] is 0.2 and \[1, 0\] is 0; if only one triangle is filled"),
        ({"means": [1.0, 0.0]}, r"means\[0\] is 1: .* leave out spins that never change"),
        ({"means": [0.9, 0.9]}, r"no two spins have means 0.9 and 0.9 and <s_i s_j> = 0.1 \(spins 0 and 1\): it lies "),
        ({"means": [-0.9, 0.5], "second_moments": [[1, 0.7], [0.7, 1]]}, "lies between -0.6 and -0.4; for covariances"),
        ({"n_samples": 0.5}, "n_samples must be at least 1, got 0.5"),
        ({"n_samples": np.nan}, "n_samples must be at least 1, got nan"),
        ({"alpha": -0.1}, "alpha must be at least 0, got -0.1"),
        ({"method": "magic"}, "method must be 'auto', 'exact' or 'pcd', got 'magic'"),
    ],
)
def test_moments_that_no_spins_have_are_refused(changes, message):
    given = {"means": [0.0, 0.0], "second_moments": [[1.0, 0.1], [0.1, 1.0]], "n_samples": 100} | changes
    with pytest.raises(ValueError, match=message):
        fit_from_moments(**given)


def test_moments_at_the_edge_of_what_spins_can_have():
    """Two spins that are never -1 together: without a penalty the coupling is infinite, and the message says so."""
    means, second = np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.0, 1.0]])
    with pytest.warns(ConvergenceWarning, match="1 pair of spins never takes one of the four joint values"):
        assert not fit_from_moments(means, second, 1000, alpha=0.0).converged
    assert fit_from_moments(means, second, 1000).converged


# --- chains ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("fit_fields", [False, True])
def test_chains_find_what_enumeration_finds(fit_fields):
    couplings, fields = model(10, 1.5, 10, fit_fields)
    spins = exact.draw(couplings, 5000, fields, seed=10)
    best = MaximumLikelihood("exact", 0.0, fit_fields=fit_fields).fit(spins)
    fitted = MaximumLikelihood("pcd", 0.0, fit_fields=fit_fields, tol=0.004).fit(spins)
    assert fitted.converged_
    assert fitted.mismatch_ <= 0.004
    means, second = exact.moments(fitted.couplings_, fitted.fields_)
    above = np.triu_indices(10, 1)
    errors = (spins.T.astype(float) @ spins / 5000 - second)[above]
    if fit_fields:
        errors = np.append(errors, spins.mean(axis=0) - means)
    assert np.sqrt(np.mean(errors**2)) < 0.004 + 3 * fitted.mismatch_noise_
    assert np.sqrt(np.mean((fitted.couplings_ - best.couplings_)[above] ** 2)) < 0.05


@pytest.mark.slow
def test_more_spins_than_can_be_enumerated():
    # samples of a tree, drawn from its root
    n_spins, rng = 30, np.random.default_rng(12)
    spins = rng.choice([-1, 1], size=(2000, n_spins)).astype(np.int8)
    couplings = np.zeros((n_spins, n_spins))
    for child in range(1, n_spins):
        parent = int(rng.integers(0, child))
        couplings[child, parent] = couplings[parent, child] = strength = rng.normal(0, 0.5)
        spins[:, child] = spins[:, parent] * np.where(rng.random(2000) < 1 / (1 + np.exp(-2 * strength)), 1, -1)
    fitted = MaximumLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    assert fitted.converged_
    assert fitted.tol_ == 0.2
    # errors are those of maximum likelihood: inverse Fisher information, fourth moments taken as those of a Gaussian
    precision = np.linalg.inv(spins.T.astype(float) @ spins / len(spins))
    variance = (np.outer(np.diag(precision), np.diag(precision)) + precision**2) / len(spins)
    above = np.triu_indices(n_spins, 1)
    ratio = np.sqrt(np.mean((fitted.couplings_ - couplings)[above] ** 2) / np.mean(variance[above]))
    assert ratio == pytest.approx(1.0, abs=0.2)  # 435 errors: a scatter of 0.034
    again = clone(fitted).fit(spins)
    np.testing.assert_array_equal(again.couplings_, fitted.couplings_)
    other = clone(fitted).set_params(random_state=1).fit(spins)
    assert not np.array_equal(other.couplings_, fitted.couplings_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).couplings_, fitted.couplings_)


def test_what_chains_cannot_reach_is_admitted():
    couplings, fields = model(8, 1.0, 13)
    spins = exact.draw(couplings, 200, fields, seed=13)
    with pytest.warns(ConvergenceWarning, match="moments of data and model differ by .* raise max_iter"):
        fitted = MaximumLikelihood("pcd", 0.5, fit_fields=True, max_iter=1, tol=0.002).fit(spins)
    assert not fitted.converged_


@pytest.mark.parametrize(("worse", "n_checks"), [({"mismatch": 1.0}, 2), ({"ran_away": True}, 3)])
def test_a_refused_fit_has_the_moments_of_the_model_returned(monkeypatch, worse, n_checks):
    # two rounds: the first is refused, the step of the second makes it worse and is taken back
    points, found = [], []
    refused = [{"mismatch": 0.3}, worse, {"mismatch": 0.4}]

    def checked(problem, vector, *rest, **options):
        points.append(vector)
        found.append(replace(check(problem, vector, *rest, **options, most_draws=300), **refused[len(found)]))
        return found[-1]

    monkeypatch.setattr(maximise_module, "check", checked)
    monkeypatch.setattr(maximise_module, "ROUNDS", 2)
    couplings, fields = model(6, 0.5, 13)
    spins = exact.draw(couplings, 400, fields, seed=13)
    means, second = spins.mean(axis=0), spins.T.astype(float) @ spins / 400
    fit = maximise_module.maximise(means, second, 400, method="pcd", states=spins, n_chains=32)
    assert len(points) == n_checks
    (last,) = (k for k, each in enumerate(found) if each is fit.acceptance)
    np.testing.assert_array_equal(fit.terms.pack(fit.couplings, fit.fields), points[last])
    assert fit.mismatch == found[last].mismatch != worse.get("mismatch")
    assert "0.3" in fit.message or "0.4" in fit.message


def test_constant_spins_keep_a_field_only():
    spins = exact.draw(exact.random_couplings(5, 0.5, 10), 300, seed=10)
    spins[:, 3] = 1
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        fitted = MaximumLikelihood(alpha=0.0, fit_fields=True).fit(spins)
    assert np.all(fitted.couplings_[3] == 0.0)
    assert fitted.fields_[3] == pytest.approx(0.5 * np.log(601.0))
