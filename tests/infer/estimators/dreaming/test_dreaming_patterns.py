"""Unknown patterns: found where they are there, told where not; and scikit-learn's checks, which need any width."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from infer.estimators.dreaming.continuous_model import ContinuousDreamingModel
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.dreaming.patterns import find_patterns
from simulate import BlockGibbs, PatternCouplings, random_patterns, sample
from simulate.couplings import dreaming
from tests import exact

BATTERY = [
    DreamingModel(n_patterns=2, threshold=0.0),
    DreamingModel(n_patterns=2, method="hybrid-rbm", threshold=0.0, max_iter=1),
    ContinuousDreamingModel(n_patterns=2, method="gaussian", fit_fields=True),
    ContinuousDreamingModel(n_patterns=2, method="score-matching"),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # their rows have no patterns
@pytest.mark.filterwarnings("ignore:only . of 2 patterns:UserWarning")
@pytest.mark.filterwarnings("ignore:the samples show no sign of the patterns:UserWarning")
@parametrize_with_checks(BATTERY)
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it one check leaves itself out
    check(estimator)


def test_no_check_is_left_out():
    for estimator in BATTERY:
        assert len(list(estimator_checks_generator(estimator))) >= 40


def overlaps(found, patterns):
    """Largest overlap of each pattern with the patterns found, 1 where it is among them (up to its sign)."""
    return np.abs(patterns.astype(float) @ found.T.astype(float)).max(axis=1) / patterns.shape[1]


def test_patterns_are_read_off_an_exact_subspace():
    # rows whose second moments are I + J exactly: eigenvectors span the patterns without any noise
    patterns = random_patterns(8, 60, seed=1)
    second = np.eye(60) + 0.5 * patterns.T.astype(float) @ patterns / 60
    rows = np.linalg.cholesky(second).T * np.sqrt(60)
    found = find_patterns(rows, None, 8, False, np.random.default_rng(0))
    np.testing.assert_array_equal(overlaps(found.patterns, patterns), 1.0)
    assert len(found.patterns) == 8
    np.testing.assert_allclose(found.quality, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_patterns", "temperature", "rate"), [(5, 2.0, 0.5), (20, 1.7, 1.0), (3, 0.7, 0.3)]
)  # above the transition, at a high load, and far below the transition
def test_unknown_patterns_are_found_and_the_rate_is_that_of_known_ones(n_patterns, temperature, rate):
    patterns = random_patterns(n_patterns, 100, seed=2)
    dynamics = BlockGibbs(PatternCouplings(patterns, rate), temperature)
    data = sample(dynamics, draws=300, chains=16, thin=4, burn_in=100, seed=3, check=False)
    model, known = DreamingModel(n_patterns=n_patterns).fit(data), DreamingModel(patterns).fit(data)
    np.testing.assert_array_equal(overlaps(model.patterns_, patterns), 1.0)
    assert model.pattern_quality_.min() > 0.9
    assert model.rate_ == pytest.approx(known.rate_, rel=1e-6)
    np.testing.assert_allclose(model.covariance_, known.covariance_, rtol=1e-4)
    np.testing.assert_allclose(model.couplings_, known.couplings_, atol=1e-8)
    assert abs(model.rate_ - rate) < 4 * model.rate_std_
    # the test looks at the same patterns, not at new ones
    assert model.rate_test(data, rate=rate).score == pytest.approx(known.rate_test(data, rate=rate).score, rel=1e-4)


def test_continuous_units_too():
    patterns = random_patterns(4, 40, seed=4)
    covariance = np.linalg.inv(3.0 * np.eye(40) - dreaming(patterns, 0.5))
    X = np.random.default_rng(5).multivariate_normal(np.zeros(40), covariance, size=8000)
    model = ContinuousDreamingModel(n_patterns=4, method="gaussian").fit(X)
    np.testing.assert_array_equal(overlaps(model.patterns_, patterns), 1.0)
    assert model.rate_ == pytest.approx(ContinuousDreamingModel(patterns, "gaussian").fit(X).rate_, rel=1e-6)


@pytest.mark.filterwarnings("ignore:the samples show no sign:UserWarning")  # nor need they
def test_samples_without_patterns_are_told():
    X = np.random.default_rng(0).choice([-1, 1], size=(5000, 40))
    with pytest.warns(UserWarning, match="only 0 of 4 patterns of .* were found clearly"):
        DreamingModel(n_patterns=4).fit(X)


def test_orthogonal_patterns_tell_the_inverse_temperature_only():
    patterns = np.array([[1] * 8, [1, -1] * 4])
    X = exact.draw(0.8 * dreaming(patterns, 0.0), 5000, seed=6)
    with pytest.warns(ConvergenceWarning, match="the same couplings at all rates"):
        model = DreamingModel(n_patterns=2).fit(X)
    np.testing.assert_array_equal(overlaps(model.patterns_, patterns), 1.0)
    assert (model.rate_, model.rate_std_, model.converged_) == (0.0, np.inf, False)
    assert model.inverse_temperature_ == pytest.approx(0.8, abs=4 * model.inverse_temperature_std_)
    with pytest.raises(ValueError, match="nothing to test"):
        model.rate_test(X)
    with pytest.raises(ValueError, match="no posterior"):
        model.posterior()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give the patterns, or n_patterns"),
        ({"patterns": np.ones((2, 8)), "n_patterns": 2}, "either patterns or n_patterns, not both"),
        ({"n_patterns": 0}, "n_patterns must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        DreamingModel(**options).fit(exact.draw(np.zeros((8, 8)), 50))


def test_samples_without_signal_say_that_no_rate_can_be_told():
    # free spins: the rate ends at either end of its range or anywhere between, at times with a small standard error
    patterns = random_patterns(5, 40, seed=0)
    ends = []
    for seed in range(12):
        X = np.random.default_rng(seed).choice([-1, 1], size=(500, 40))
        with pytest.warns(UserWarning, match="no sign of the patterns") as told:
            model = DreamingModel(patterns).fit(X)
        assert issubclass(told[0].category, ConvergenceWarning) == (not model.converged_)
        assert np.isfinite(model.rate_std_) == model.converged_
        ends.append(not model.converged_)
    assert 0 < sum(ends) < 12
