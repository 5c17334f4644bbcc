"""Closed-form couplings: exact where theory says exact, and wrong by no more than theory says elsewhere."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.covariances import ledoit_wolf_strength
from infer.estimators.mean_field import METHODS, MeanField, mean_field_couplings
from infer.samples import spin_moments
from tests import exact


def exact_moments(couplings, fields):
    """Means and covariances by enumeration."""
    means, second = exact.moments(couplings, fields)
    return means, second - np.outer(means, means)


# --- exact where they should be --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["independent-pair", "bethe", "sessak-monasson"])
@pytest.mark.parametrize("coupling", [-1.3, 0.02, 0.9])
def test_two_spins_are_exact(method, coupling):
    couplings, fields = np.array([[0.0, coupling], [coupling, 0.0]]), np.array([0.4, -0.7])
    found, found_fields, clipped = mean_field_couplings(*exact_moments(couplings, fields), method)
    np.testing.assert_allclose(found, couplings, atol=1e-10)
    np.testing.assert_allclose(found_fields, fields, atol=1e-10)
    assert clipped == 0


def test_bethe_is_exact_on_a_tree():
    rng = np.random.default_rng(0)
    couplings = np.zeros((9, 9))
    for child in range(1, 9):
        parent = rng.integers(0, child)
        couplings[child, parent] = couplings[parent, child] = rng.normal() * 0.8
    fields = rng.normal(size=9) * 0.5
    found, found_fields, clipped = mean_field_couplings(*exact_moments(couplings, fields), "bethe")
    np.testing.assert_allclose(found, couplings, atol=1e-8)
    np.testing.assert_allclose(found_fields, fields, atol=1e-8)
    assert clipped == 0
    naive, _, _ = mean_field_couplings(*exact_moments(couplings, fields), "naive")
    assert np.abs(naive - couplings).max() > 0.05  # what the comparison would say of a method that is not exact


@pytest.mark.parametrize("method", METHODS)
def test_independent_spins_have_their_fields_and_no_couplings(method):
    fields = np.linspace(-1.5, 1.5, 6)
    found, found_fields, _ = mean_field_couplings(*exact_moments(np.zeros((6, 6)), fields), method)
    np.testing.assert_allclose(found, 0.0, atol=1e-10)
    np.testing.assert_allclose(found_fields, fields, atol=1e-10)


@pytest.mark.parametrize(
    ("method", "order", "order_without_fields"),
    [("naive", 2, 3), ("tap", 3, 3), ("bethe", 3, 4), ("sessak-monasson", 4, 5), ("independent-pair", 2, 2)],
)
def test_errors_shrink_with_the_couplings_as_theory_says(method, order, order_without_fields):
    # expansions in small couplings: halving them divides the error by 2^order
    rng = np.random.default_rng(1)
    shape, fields = exact.random_couplings(8, 1.0, rng), rng.normal(size=8) * 0.6
    for h, expected in [(fields, order), (np.zeros(8), order_without_fields)]:
        errors, field_errors = [], []
        for scale in (0.08, 0.04, 0.02):
            found, found_fields, _ = mean_field_couplings(*exact_moments(scale * shape, h), method)
            errors.append(np.abs(found - scale * shape).max())
            field_errors.append(np.abs(found_fields - h).max())
        ratios = np.array(errors[:-1]) / np.array(errors[1:])
        assert np.all(np.abs(np.log2(ratios) - expected) < 0.25), (method, expected, np.log2(ratios))
        if np.any(h):
            field_ratios = np.array(field_errors[:-1]) / np.array(field_errors[1:])
            assert np.all(np.log2(field_ratios) > order - 0.25), (method, np.log2(field_ratios))


def test_weak_couplings_against_enumeration():
    rng = np.random.default_rng(2)
    couplings, fields = exact.random_couplings(10, 0.3, rng), rng.normal(size=10) * 0.4
    means, covariance = exact_moments(couplings, fields)
    strongest = np.abs(couplings).max()
    assert strongest > 0.2
    orders = {"naive": 2, "tap": 3, "bethe": 3, "sessak-monasson": 4, "independent-pair": 2}
    for method, order in orders.items():
        found, found_fields, _ = mean_field_couplings(means, covariance, method)
        assert np.abs(found - couplings).max() < 2 * strongest**order, method
        assert np.abs(found_fields - fields).max() < 3 * strongest**order, method


@pytest.mark.parametrize("method", ["naive", "tap"])
def test_fields_solve_the_mean_field_equations(method):
    rng = np.random.default_rng(3)
    means, covariance = exact_moments(exact.random_couplings(7, 0.5, rng), rng.normal(size=7))
    J, h, _ = mean_field_couplings(means, covariance, method)
    reaction = means * (J**2 @ (1 - means**2)) if method == "tap" else 0.0
    np.testing.assert_allclose(np.tanh(h + J @ means - reaction), means, atol=1e-12)
    if method == "tap":
        inverse = np.linalg.inv(covariance)
        off = ~np.eye(7, dtype=bool)
        np.testing.assert_allclose((-J - 2 * J**2 * np.outer(means, means))[off], inverse[off], atol=1e-10)


# --- the estimator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_how_often_rows_were_seen(method):
    X = exact.draw(exact.random_couplings(6, 0.5, 4), 400, np.full(6, 0.2), seed=4)
    states, counts = np.unique(X, axis=0, return_counts=True)
    rows, weighted = MeanField(method).fit(X), MeanField(method).fit(states, sample_weight=counts)
    np.testing.assert_allclose(weighted.couplings_, rows.couplings_, atol=1e-10)
    np.testing.assert_allclose(weighted.fields_, rows.fields_, atol=1e-10)
    assert rows.score(X) == pytest.approx(weighted.score(states, sample_weight=counts), rel=1e-12)
    assert rows.converged_
    assert rows.n_iter_ == 1
    np.testing.assert_array_equal(rows.couplings_, rows.couplings_.T)
    np.testing.assert_array_equal(np.diag(rows.couplings_), 0.0)


def test_exact_weights_give_exact_moments_and_better_methods_better_scores():
    rng = np.random.default_rng(5)
    couplings, fields = exact.random_couplings(8, 0.8, rng), rng.normal(size=8) * 0.3
    states, weight = exact.all_states(8), exact.boltzmann(couplings, fields)
    models = {method: MeanField(method, errors=False).fit(states, sample_weight=weight) for method in METHODS}
    means, covariance = exact_moments(couplings, fields)
    np.testing.assert_allclose(models["naive"].means_, means, atol=1e-12)
    np.testing.assert_allclose(models["naive"].covariance_, covariance, atol=1e-12)
    scores = {method: model.score(states, sample_weight=weight) for method, model in models.items()}
    assert scores["sessak-monasson"] > scores["tap"] > scores["naive"] > scores["independent-pair"]


def test_shrinkage_keeps_variances_and_equals_scikit_learn():
    X = exact.draw(exact.random_couplings(8, 0.8, 6), 60, np.linspace(-1, 1, 8), seed=6)
    means, second = spin_moments(X)
    covariance = second - np.outer(means, means)
    model = MeanField(shrinkage=0.3).fit(X)
    np.testing.assert_allclose(model.covariance_, 0.7 * covariance + 0.3 * np.diag(np.diag(covariance)), atol=1e-15)
    strength = MeanField(shrinkage="ledoit-wolf").fit(X).shrinkage_
    shrunk, reference = ledoit_wolf((X - means) / np.sqrt(1 - means**2), assume_centered=True)
    assert strength == pytest.approx(reference, rel=1e-12)
    assert 0.01 < strength < 1.0
    scale = np.sqrt(1 - means**2)
    expected = shrunk * np.outer(scale, scale)
    np.testing.assert_allclose(MeanField(shrinkage="ledoit-wolf").fit(X).covariance_, expected, atol=1e-12)
    counts = np.array([2, 0, 1] * 20)
    assert ledoit_wolf_strength(X, means, counts) == ledoit_wolf_strength(np.repeat(X, counts, axis=0), means)
    assert np.all(MeanField(shrinkage=1.0).fit(X).couplings_ == 0.0)


def test_moments_in_chunks_are_the_same(monkeypatch):
    X = exact.draw(exact.random_couplings(6, 0.5, 7), 500, seed=7)
    weight = np.random.default_rng(7).random(500)
    whole = spin_moments(X, weight)
    covariance = whole[1] - np.outer(whole[0], whole[0])
    np.testing.assert_allclose(covariance, np.cov(X.T, aweights=weight, ddof=0), atol=1e-12)
    monkeypatch.setattr("infer.checks.CHUNK_VALUES", 60)
    for pieces, at_once in zip(spin_moments(X, weight), whole, strict=True):
        np.testing.assert_allclose(pieces, at_once, atol=1e-13)


@pytest.mark.parametrize("method", ["naive", "tap", "bethe", "sessak-monasson"])
def test_singular_covariance_says_what_to_do(method):
    X = np.random.default_rng(8).choice([-1, 1], size=(12, 20))
    with pytest.raises(ValueError, match=r"covariance of the 20 spins has no inverse \(rank 11\).*ledoit-wolf"):
        MeanField(method).fit(X)
    copies = np.random.default_rng(8).choice([-1, 1], size=(100, 4))
    with pytest.raises(ValueError, match="drop the copies"):
        MeanField(method).fit(np.hstack([copies, copies[:, :1]]))
    assert np.isfinite(MeanField(method, shrinkage="ledoit-wolf").fit(X).couplings_).all()


def test_pairs_that_never_take_a_state_are_named():
    X = np.array([[1, 1, 1], [1, 1, -1], [-1, 1, 1], [-1, -1, -1], [-1, -1, 1], [-1, 1, -1]])
    with pytest.raises(ValueError, match="spins 0 and 1 never take the values \\+1 and -1 together"):
        MeanField("independent-pair").fit(X)
    assert np.isfinite(MeanField("independent-pair", shrinkage=0.1).fit(X).couplings_).all()


@pytest.mark.parametrize("method", ["tap", "bethe"])
def test_pairs_without_a_solution_are_counted(method):
    # strong couplings and large means: the equations of both methods have no real root for some pairs
    couplings = 1.5 * exact.random_couplings(8, 1.0, 9)
    fields = np.random.default_rng(9).normal(size=8)
    weight = exact.boltzmann(couplings, fields)
    with pytest.warns(ConvergenceWarning, match="of 28 pairs have no real solution"):
        model = MeanField(method, errors=False).fit(exact.all_states(8), sample_weight=weight)
    assert model.n_clipped_ > 0
    assert not model.converged_
    assert np.isfinite(model.couplings_).all()
    assert np.isfinite(model.fields_).all()


def test_constant_spins_keep_a_field_only():
    X = exact.draw(exact.random_couplings(5, 0.5, 10), 300, seed=10)
    X[:, 3] = -1
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        model = MeanField("tap").fit(X)
    assert np.all(model.couplings_[3] == 0.0)
    assert model.fields_[3] == pytest.approx(-0.5 * np.log(601.0), rel=1e-6)
    others = MeanField("tap").fit(np.delete(X, 3, axis=1))
    np.testing.assert_allclose(np.delete(np.delete(model.couplings_, 3, 0), 3, 1), others.couplings_, atol=1e-12)
    with pytest.raises(ValueError, match="drop these columns"):
        MeanField(constant="error").fit(X)


@pytest.mark.parametrize("method", METHODS)
def test_without_fields_a_sample_and_its_reverse_are_the_same(method):
    X = exact.draw(exact.random_couplings(6, 0.5, 12), 300, seed=12)
    model = MeanField(method, fit_fields=False).fit(X)
    doubled = MeanField(method).fit(np.concatenate([X, -X]))  # means exactly zero
    np.testing.assert_allclose(model.couplings_, doubled.couplings_, atol=1e-12)
    np.testing.assert_array_equal(model.fields_, 0.0)
    assert np.abs(model.couplings_ - MeanField(method).fit(X).couplings_).max() > 1e-6


@pytest.mark.parametrize(
    ("options", "weight", "message"),
    [
        ({"method": "magic"}, None, "method must be one of 'naive', 'tap'"),
        ({"shrinkage": 1.5}, None, "shrinkage must be a number from 0 to 1"),
        ({"shrinkage": "ledoit"}, None, "shrinkage must be a number from 0 to 1, 'ledoit-wolf' or None, got 'ledoit'"),
        ({"shrinkage": "ledoit-wolf"}, np.full(50, 0.5), "the weight of row 0 is 0.5"),
    ],
)
def test_bad_parameters_are_named(options, weight, message):
    X = np.random.default_rng(11).choice([-1, 1], size=(50, 4))
    with pytest.raises(ValueError, match=message):
        MeanField(**options).fit(X, sample_weight=weight)
    with pytest.raises(ValueError, match="method must be one of"):
        mean_field_couplings(np.zeros(2), np.eye(2), "magic")
