"""Likelihood in the hybrid Boltzmann machine: held to enumeration, and to the pseudo-likelihood where that ends."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.dreaming.hybrid_machine import NOISE, hidden_layer
from infer.estimators.dreaming.modes import PatternModes
from simulate import BlockGibbs, PatternCouplings, random_patterns, sample
from simulate.couplings import dreaming
from tests import exact


def patterns_of(n_patterns, n_spins, seed=0):
    return np.random.default_rng(seed).choice([-1, 1], size=(n_patterns, n_spins)).astype(np.int8)


def most_likely(patterns, X, fit_fields=False, rate=None):
    """Parameters (rate, beta, fields) of largest likelihood and its mean, with the partition function summed up."""
    second, first = X.T @ X.astype(float) / len(X), X.mean(axis=0)
    n_spins = X.shape[1]

    def minus_log_likelihood(point):
        here = point if rate is None else np.array([rate, *point])
        couplings = here[1] * dreaming(patterns, here[0])
        fields = here[2:] if fit_fields else np.zeros(n_spins)
        return exact.log_partition(couplings, fields) - 0.5 * np.sum(couplings * second) - fields @ first

    start = np.array(([0.1] if rate is None else []) + [0.5] + [0.0] * (n_spins if fit_fields else 0))
    found = optimize.minimize(minus_log_likelihood, start, method="BFGS", options={"gtol": 1e-7})
    point = found.x if rate is None else np.array([rate, *found.x])
    return point, -found.fun


@pytest.mark.parametrize("amplitude", [0.4, -0.4, 0.0])
@pytest.mark.parametrize("n_patterns", [4, 12])
def test_hidden_units_summed_out_give_the_couplings(n_patterns, amplitude):
    modes = PatternModes.from_patterns(patterns_of(n_patterns, 9))
    for rate in (0.9 * modes.lower_bound, 0.0, 3.0):
        layer = hidden_layer(modes, amplitude, rate)
        couplings = modes.inverse_temperature(amplitude, rate) * dreaming(patterns_of(n_patterns, 9), rate)
        given = layer.T @ layer
        np.testing.assert_allclose(given - np.diag(np.diag(given)), couplings, atol=1e-12)
        assert len(layer) <= (9 if n_patterns == 12 or amplitude < 0 else 4)


@pytest.mark.parametrize(
    ("n_patterns", "rate", "beta"), [(4, -0.2, 0.6), (4, 0.0, 0.6), (4, 1.0, 0.6), (4, 0.5, -0.3), (13, 0.3, 0.3)]
)
def test_it_finds_the_maximum_that_enumeration_finds(n_patterns, rate, beta):
    patterns = patterns_of(n_patterns, 10)
    X = exact.draw(beta * dreaming(patterns, rate), 10_000, seed=1)
    model = DreamingModel(patterns, "hybrid-rbm").fit(X)
    best, _ = most_likely(patterns, X)
    assert model.converged_
    # chains may leave a fifth of the standard error: 3 of those, and a little for the quadratic of the last step
    assert abs(model.rate_ - best[0]) < (3 * NOISE + 0.05) * model.rate_std_
    assert abs(model.inverse_temperature_ - best[1]) < (3 * NOISE + 0.05) * model.inverse_temperature_std_
    assert abs(best[0] - rate) < 4 * model.rate_std_


def test_fields_too():
    patterns, fields = patterns_of(4, 10), np.linspace(-0.4, 0.5, 10)
    X = exact.draw(0.6 * dreaming(patterns, 0.5), 10_000, fields, seed=1)
    model = DreamingModel(patterns, "hybrid-rbm", fit_fields=True).fit(X)
    best, _ = most_likely(patterns, X, fit_fields=True)
    assert abs(model.rate_ - best[0]) < (3 * NOISE + 0.05) * model.rate_std_
    assert abs(model.inverse_temperature_ - best[1]) < (3 * NOISE + 0.05) * model.inverse_temperature_std_
    # the error of a field is about 1 / sqrt(10 000 (1 - m^2)), of which chains leave a fraction: ten fields
    np.testing.assert_allclose(model.fields_, best[2:], atol=0.02)


def test_tests_of_the_rate_against_enumeration():
    patterns = patterns_of(4, 10)
    X = exact.draw(0.6 * dreaming(patterns, 0.5), 3000, seed=2)
    model = DreamingModel(patterns, "hybrid-rbm", n_batches=3000).fit(X)
    test = model.rate_test(X)
    (_, beta), restricted = most_likely(patterns, X, rate=0.0)
    _, full = most_likely(patterns, X)
    # independent rows of the model itself: nothing to adjust, but for 2 % of noise in either variance, and in the
    # difference of the likelihoods twice the root of the ratio times a fifth, and less for being read off at 3 places
    ratio = 2 * len(X) * (full - restricted)
    assert test.likelihood_ratio == pytest.approx(ratio, abs=0.12 * ratio + 3 * 0.4 * np.sqrt(ratio) / np.sqrt(3))
    assert test.inverse_temperature == pytest.approx(beta, abs=0.6 * model.inverse_temperature_std_)
    other = DreamingModel(patterns).fit(X).rate_test(X)
    assert test.score == pytest.approx(other.score, rel=0.3)  # another objective of the same samples
    assert max(test.score_p_value, test.wald_p_value, test.likelihood_ratio_p_value) < 0.01
    assert 10 < ratio < 100  # enough to be told, and not so much that all would agree


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_a_hundred_spins_and_the_pseudo_likelihood(rate):
    patterns = random_patterns(20, 100, seed=20)
    data = sample(BlockGibbs(PatternCouplings(patterns, rate), 2.0), draws=250, chains=8, thin=4, burn_in=100, seed=3)
    model, other = DreamingModel(patterns, "hybrid-rbm").fit(data), DreamingModel(patterns).fit(data)
    assert model.converged_
    assert abs(model.rate_ - rate) < 4 * model.rate_std_
    assert abs(model.inverse_temperature_ - 0.5) < 4 * model.inverse_temperature_std_
    # they differ by what the pseudo-likelihood loses, and by a fifth of an error from the chains
    assert abs(model.rate_ - other.rate_) < model.rate_std_
    assert abs(model.inverse_temperature_ - other.inverse_temperature_) < other.inverse_temperature_std_
    assert model.rate_std_ == pytest.approx(other.rate_std_, rel=0.25)
    assert model.log_pseudolikelihood_ <= other.log_pseudolikelihood_


def test_same_seed_same_result():
    patterns = patterns_of(4, 10)
    X = exact.draw(0.6 * dreaming(patterns, 0.5), 500, seed=4)
    first, second = (DreamingModel(patterns, "hybrid-rbm").fit(X) for _ in range(2))
    assert first.rate_ == second.rate_
    assert DreamingModel(patterns, "hybrid-rbm", random_state=1).fit(X).rate_ != first.rate_


def test_chains_that_do_not_mix_are_told():
    # deep in the ordered phase every chain stays by the pattern that it started from
    patterns, rng = patterns_of(3, 40, seed=5), np.random.default_rng(6)
    X = patterns[rng.integers(0, 3, size=600) * (rng.random(600) < 0.5)] * rng.choice([-1, 1], size=(600, 1))
    X = np.where(rng.random(X.shape) < 0.03, -X, X).astype(np.int8)
    with (
        pytest.warns(ConvergenceWarning, match="no convergence after 2 iterations"),
        pytest.warns(ConvergenceWarning, match="chains of the hybrid machine differ from each other"),
    ):
        model = DreamingModel(patterns, "hybrid-rbm", max_iter=2).fit(X)
    assert not model.converged_
