"""Firth's penalty against a plain implementation for one node, under separation, and its bias by simulation."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from tests import exact


def plain_firth(X, y, weight=None):
    """Coefficients of ``P(y = 1) = 1 / (1 + exp(-X beta))`` by Firth's modified score (Heinze and Schemper 2002)."""
    X, y = X.astype(float), y.astype(float)
    weight = np.ones(len(X)) if weight is None else weight
    beta = np.zeros(X.shape[1])
    for _ in range(3000):
        p = 1 / (1 + np.exp(-X @ beta))
        variance = weight * p * (1 - p)
        covariance = np.linalg.inv((X.T * variance) @ X)
        hat = variance * np.einsum("ki,ij,kj->k", X, covariance, X)
        score = X.T @ (weight * (y - p) + hat * (0.5 - p))
        if np.abs(score).max() < 1e-10:
            return beta
        step = covariance @ score
        beta = beta + step * min(1.0, 0.5 / np.abs(step).max())
    raise AssertionError("the plain iteration has not converged")


def check_nodes(model, spins, weight=None, fit_fields=True):
    for r in range(spins.shape[1]):
        others = np.delete(np.arange(spins.shape[1]), r)
        X = np.column_stack([spins[:, others], np.ones(len(spins))]) if fit_fields else spins[:, others]
        beta = plain_firth(X, spins[:, r] > 0, weight)
        np.testing.assert_allclose(model.couplings_by_node_[r, others], beta[: len(others)] / 2, atol=1e-6)
        if fit_fields:
            assert model.fields_[r] == pytest.approx(beta[-1] / 2, abs=1e-6)


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_plain_implementation(fit_fields, weighted):
    rng = np.random.default_rng(0)
    spins = exact.draw(exact.random_couplings(6, 1.0, rng), 60, rng.normal(0, 0.2, 6), seed=rng)
    weight = rng.integers(1, 4, 60).astype(float) if weighted else None
    model = PseudoLikelihood("firth", fit_fields=fit_fields, tol=1e-9).fit(spins, sample_weight=weight)
    assert model.converged_
    check_nodes(model, spins, weight, fit_fields)


def test_is_the_maximum_of_the_penalised_likelihood():
    spins = exact.draw(exact.random_couplings(4, 1.0, 1), 40, seed=1).astype(float)
    model = PseudoLikelihood("firth", tol=1e-9, fit_fields=False).fit(spins)

    def objective(w):
        margins = spins[:, 0] * (spins[:, 1:] @ w)
        variance = 1 / np.cosh(margins) ** 2
        information = (spins[:, 1:].T * variance) @ spins[:, 1:]
        return np.logaddexp(0, -2 * margins).sum() - np.linalg.slogdet(information)[1] / 2

    best = minimize(objective, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(model.couplings_by_node_[0, 1:], best, atol=1e-5)


def test_counts_and_repeats_mean_the_same():
    rng = np.random.default_rng(2)
    spins = exact.draw(exact.random_couplings(5, 1.0, rng), 50, seed=rng)
    counts = rng.integers(0, 4, 50)
    by_counts = PseudoLikelihood("firth", tol=1e-10, fit_fields=False).fit(spins, sample_weight=counts)
    by_rows = PseudoLikelihood("firth", tol=1e-10, fit_fields=False).fit(np.repeat(spins, counts, axis=0))
    np.testing.assert_allclose(by_counts.couplings_, by_rows.couplings_, atol=1e-8)


def test_separated_samples_have_finite_estimates():
    rng = np.random.default_rng(3)
    spins = rng.choice([-1, 1], size=(300, 5))
    spins[:, 3] = spins[:, 1]
    with pytest.warns(ConvergenceWarning, match=r"separate spins 1, 3 perfectly.*penalty='firth'"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        determined = PseudoLikelihood("firth", fit_fields=True).fit(spins[:, [0, 1, 2, 4]])
    assert determined.converged_
    # spin 3 repeats spin 1: nodes 1 and 3 are separated, and the others cannot tell the two apart
    with pytest.warns(ConvergenceWarning, match=r"leave combinations of the couplings of spins 0, 2, 4 open"):
        model = PseudoLikelihood("firth", fit_fields=True).fit(spins)
    assert model.converged_
    assert 2 < model.couplings_by_node_[1, 3] < 6  # finite: some log(n_samples) / 2
    np.testing.assert_allclose(model.couplings_by_node_[0, 1], model.couplings_by_node_[0, 3], atol=1e-6)
    # what is open has no standard error, and the rest has one; the pair of copies has an interval open to one side
    undetermined = np.zeros((5, 5), dtype=bool)
    undetermined[1, 3] = undetermined[3, 1] = True
    undetermined[np.ix_([0, 2, 4], [1, 3])] = undetermined[np.ix_([1, 3], [0, 2, 4])] = True
    np.testing.assert_array_equal(np.isnan(model.couplings_std_), undetermined)
    # separated without copies: the sign of the sum of three others decides
    spins = rng.choice([-1, 1], size=(200, 4))
    spins[:, 3] = np.sign(spins[:, :3].sum(axis=1))
    model = PseudoLikelihood("firth", tol=1e-9, max_iter=2000, fit_fields=False).fit(spins)
    assert model.converged_
    assert np.all(np.isfinite(model.couplings_))
    check_nodes(model, spins, fit_fields=False)


def test_fewer_rows_than_spins_are_admitted():
    spins = np.random.default_rng(4).choice([-1, 1], size=(12, 20))
    with pytest.warns(ConvergenceWarning, match="open.*alpha > 0"):
        model = PseudoLikelihood("firth", fit_fields=False).fit(spins)
    assert np.isfinite(model.couplings_).all()
    with pytest.raises(ValueError, match="no l1 penalty and no Firth penalty"):
        PseudoLikelihood("firth", symmetrisation="joint", fit_fields=False).fit(spins)


@pytest.mark.parametrize("seed", range(12))
def test_random_problems_converge_or_say_so(seed):
    rng = np.random.default_rng([5, seed])
    n_spins, n_samples = int(rng.integers(3, 25)), int(np.exp(rng.uniform(np.log(20), np.log(1000))))
    temperature = float(np.exp(rng.uniform(np.log(0.2), np.log(5))))
    couplings = exact.random_couplings(n_spins, 1 / temperature, rng)
    spins = rng.choice([-1.0, 1.0], size=(n_samples, n_spins))
    for _ in range(10):
        for i in range(n_spins):
            spins[:, i] = np.where(rng.random(n_samples) < 1 / (1 + np.exp(-2 * spins @ couplings[i])), 1.0, -1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PseudoLikelihood("firth", fit_fields=bool(rng.integers(2))).fit(spins)
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    assert np.isfinite(model.couplings_).all()
    assert model.converged_ or caught
    assert np.abs(model.couplings_).max() < 20


@pytest.mark.slow
def test_bias_is_smaller_than_without():
    """300 data sets of 80 samples: the slope of the mean estimate on the truth, 1 without bias.

    Its standard error over data sets is about 0.01 with the penalty; without it is near 1.6 (some sets are separable).
    """
    n_spins, rng = 6, np.random.default_rng(6)
    couplings = exact.random_couplings(n_spins, 1.0, rng)
    upper = np.triu_indices(n_spins, 1)
    truth = couplings[upper]
    slopes = {"l2": [], "firth": []}
    for _ in range(300):
        spins = exact.draw(couplings, 80, seed=rng)
        for penalty, record in slopes.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = PseudoLikelihood(penalty, tol=1e-5, alpha=0.0, fit_fields=False).fit(spins).couplings_[upper]
            record.append(found @ truth / (truth @ truth))
    bias = {name: np.mean(record) - 1 for name, record in slopes.items()}
    error = np.std(slopes["firth"]) / np.sqrt(300)
    assert bias["l2"] > 0.05
    assert abs(bias["firth"]) < 4 * error + 0.01
    assert abs(bias["firth"]) < bias["l2"] / 4
