"""The dreaming model of continuous units: closed forms, derivatives, and the steady state of active particles."""

import numpy as np
import pytest
from scipy import optimize, signal

from infer.estimators.continuous.estimators import GaussianCouplings, ScoreMatching
from infer.estimators.dreaming.continuous_model import ContinuousDreamingModel
from infer.estimators.dreaming.continuous_units import GaussianMethod, ScoreMatchingMethod
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.dreaming.modes import PatternModes
from simulate import ActiveOrnsteinUhlenbeck, Harmonic, SoftSpin, hebbian, random_patterns, sample, theory
from simulate.couplings import dreaming

METHODS = ["gaussian", "score-matching"]


def rows_of_covariance(covariance, n_rows=2000, seed=0, mean=0.0):
    """Rows whose second moments about the mean are exactly the given ones."""
    noise = np.random.default_rng(seed).normal(size=(n_rows, len(covariance)))
    noise -= noise.mean(axis=0)
    white = np.linalg.qr(noise)[0] * np.sqrt(n_rows)
    return white @ np.linalg.cholesky(covariance).T + mean


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n_patterns", "rate"), [(6, -0.2), (6, 0.5), (14, 0.2), (6, 2.0)])
def test_exact_moments_give_back_all_parameters(method, n_patterns, rate):
    patterns, beta, stiffness = random_patterns(n_patterns, 12, seed=1), 1.7, 6.0
    fields = np.linspace(-1, 1, 12)
    precision = beta * (stiffness * np.eye(12) - dreaming(patterns, rate))
    X = rows_of_covariance(np.linalg.inv(precision), mean=np.linalg.solve(precision, fields))
    model = ContinuousDreamingModel(patterns, method, quartic=False, fit_fields=True).fit(X)
    assert model.converged_
    assert model.rate_ == pytest.approx(rate, abs=1e-6)
    assert model.inverse_temperature_ == pytest.approx(beta, rel=1e-6)
    assert model.stiffness_ == pytest.approx(stiffness, rel=1e-6)
    np.testing.assert_allclose(model.fields_, fields, atol=1e-6)
    np.testing.assert_allclose(model.couplings_, beta * dreaming(patterns, rate), atol=1e-6)
    assert (model.quartic_, model.quartic_std_) == (0.0, 0.0)
    # no free precision matrix has a higher likelihood than that of the sample covariance, and here it is the model's
    other = GaussianCouplings().fit(X) if method == "gaussian" else ScoreMatching(quartic=False).fit(X)
    assert model.score(X) == pytest.approx(other.score(X), rel=1e-9)


def three_level_patterns(n_spins=12):
    """Pattern correlations with eigenvalues 2, 1 and 0 only, and the same self-coupling for every spin at all rates."""
    first, second = np.ones(n_spins), np.tile([1, -1], n_spins // 2)
    return np.stack([first, first, second]).astype(np.int8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tau", [0.1, 1.0, 5.0])
def test_active_units_in_a_harmonic_potential_exactly(method, tau):
    """At T = 0 the precision is A (I + tau A) / T_a, A = k I - J, and three eigenvalues are three parameters.

    With a = k + P/N the precision of a mode of eigenvalue g of the Hebbian matrix is
    ((1 + 2 a tau) g - tau g^2) / T_a below that of g = 0; equal to beta (1 + rate) g / (1 + rate g) at g = 1 and 2 for
    rate = tau / (1 + 2 a tau - 3 tau) and beta = (1 + 2 a tau - tau) / T_a.
    """
    patterns, stiffness, noise = three_level_patterns(), 4.0, 0.7
    dynamics = ActiveOrnsteinUhlenbeck(
        hebbian(patterns), persistence_time=tau, active_temperature=noise, potential=Harmonic(stiffness)
    )
    X = rows_of_covariance(theory.stationary_covariance(dynamics))
    model = ContinuousDreamingModel(patterns, method, quartic=False).fit(X)
    shifted = stiffness + 3 / 12
    assert model.rate_ == pytest.approx(tau / (1 + 2 * shifted * tau - 3 * tau), rel=1e-6)
    assert model.inverse_temperature_ == pytest.approx((1 + 2 * shifted * tau - tau) / noise, rel=1e-6)
    np.testing.assert_allclose(model.couplings_, theory.effective_couplings(dynamics), atol=1e-6)
    np.testing.assert_allclose(
        model.inverse_temperature_ * model.stiffness_, np.diag(np.linalg.inv(theory.stationary_covariance(dynamics)))
    )


@pytest.mark.parametrize("method", METHODS)
def test_active_units_with_any_patterns_at_second_order(method):
    patterns = random_patterns(6, 30, seed=1)
    deviations = {True: [], False: []}
    for tau in (0.002, 0.02):
        dynamics = ActiveOrnsteinUhlenbeck(
            hebbian(patterns), persistence_time=tau, active_temperature=0.5, potential=Harmonic(3.0)
        )
        precision = np.linalg.inv(theory.stationary_covariance(dynamics))
        for levelled, found in deviations.items():
            if levelled:
                np.fill_diagonal(precision, np.diag(precision).mean())
            model = ContinuousDreamingModel(patterns, method, quartic=False).fit(
                rows_of_covariance(np.linalg.inv(precision))
            )
            found.append(model.rate_ / theory.dreaming_rate(dynamics) - 1)
            assert model.slope_ == pytest.approx(theory.effective_slope(dynamics), rel=2 * tau)
    # the diagonal of J^2 differs from unit to unit, as one stiffness for all does not: that shifts the rate by a few
    # per cent; without it the next order is one more factor of the rate, which is nearly tau
    assert np.all(np.abs(deviations[False]) < 0.12)
    assert abs(deviations[True][0]) < 0.01
    assert deviations[True][1] / deviations[True][0] == pytest.approx(10, rel=0.1)


def methods_of(X, patterns, weight, fit_fields):
    arguments = (X, weight, PatternModes.from_patterns(patterns), fit_fields, 1e-8, 100)
    return [
        GaussianMethod(*arguments),
        *(ScoreMatchingMethod(*arguments, quartic=quartic) for quartic in (True, False)),
    ]


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("n_patterns", [4, 9])
def test_derivatives_against_finite_differences(fit_fields, n_patterns):
    rng = np.random.default_rng(2)
    X, weight = rng.normal(0.3, 1.0, size=(50, 7)), rng.random(50)
    for method in methods_of(X, random_patterns(n_patterns, 7, seed=3), weight, fit_fields):
        theta = np.array([0.3, 0.4, 3.0, 0.2])[: len(method.start())]
        value, gradient, hessian = method.evaluate(theta)
        steps = 1e-5 * np.eye(len(theta))
        ends = [(method.evaluate(theta + step), method.evaluate(theta - step)) for step in steps]
        np.testing.assert_allclose([(a[0] - b[0]) / 2e-5 for a, b in ends], gradient, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose([-(a[1] - b[1]) / 2e-5 for a, b in ends], hessian, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(weight @ method.scores(theta) / weight.sum(), gradient, rtol=1e-9, atol=1e-12)
        assert np.isfinite(value)


def plain_score_matching(theta, fields, X, weight, patterns):
    modes = PatternModes.from_patterns(patterns)
    slopes = theta[0] * X @ modes.unit_couplings(theta[1])[0] - theta[2] * X - theta[3] * X**3 + fields
    curvatures = -theta[2] - 3 * theta[3] * X**2
    return -np.average((0.5 * slopes**2 + curvatures).sum(axis=1), weights=weight)


def test_objectives_against_plain_sums_over_rows():
    rng = np.random.default_rng(4)
    X, weight, patterns = rng.normal(0.3, 1.0, size=(50, 7)), rng.random(50), random_patterns(4, 7, seed=3)
    gaussian, quartic, _ = methods_of(X, patterns, weight, True)
    theta = np.array([0.3, 0.4, 3.0, 0.2])
    value = quartic.evaluate(theta)[0]
    fields = quartic.fields(theta)
    assert value == pytest.approx(plain_score_matching(theta, fields, X, weight, patterns), rel=1e-12)
    # fields that were taken out are the best ones
    best = optimize.minimize(lambda h: -plain_score_matching(theta, h, X, weight, patterns), np.zeros(7), method="BFGS")
    np.testing.assert_allclose(best.x, fields, atol=1e-4)
    precision = 3.0 * np.eye(7) - 0.3 * gaussian.modes.unit_couplings(0.4)[0]
    away = X - np.average(X, axis=0, weights=weight)
    squares = np.einsum("ki,ij,kj->k", away, precision, away)
    plain = 0.5 * (np.linalg.slogdet(precision)[1] - 7 * np.log(2 * np.pi) - np.average(squares, weights=weight))
    assert gaussian.evaluate(theta[:3])[0] == pytest.approx(plain, rel=1e-12)
    np.testing.assert_allclose(gaussian.fields(theta[:3]), precision @ np.average(X, axis=0, weights=weight))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_intervals_and_tests_of_autocorrelated_rows(method):
    # an autoregressive walk of autocorrelation 0.6^t in the exact covariance: 40 repeats
    patterns, rate, beta, stiffness = random_patterns(4, 10, seed=5), 0.6, 2.0, 4.0
    root = np.linalg.cholesky(np.linalg.inv(beta * (stiffness * np.eye(10) - dreaming(patterns, rate))))
    rng, covered, p_values, scores = np.random.default_rng(6), np.zeros(3), [], []
    for _ in range(40):
        noise = rng.normal(size=(3100, 10))
        X = signal.lfilter([0.8], [1.0, -0.6], noise, axis=0)[100:] @ root.T
        model = ContinuousDreamingModel(patterns, method, quartic=False).fit(X)
        for k, (name, truth) in enumerate([("rate", rate), ("inverse_temperature", beta), ("stiffness", stiffness)]):
            low, high = model.confidence_interval(0.95, name)
            covered[k] += low <= truth <= high
        test = model.rate_test(X, rate=rate)
        p_values.append([test.wald_p_value, test.score_p_value, test.likelihood_ratio_p_value])
        scores.append((model.rate_ - rate) / model.rate_std_)
    # 40 intervals at 95 %: binomial standard deviation 3.4 %, three of them (false alarm 0.3 % each)
    assert np.all(np.abs(covered / 40 - 0.95) < 0.103)
    assert np.all(np.mean(np.array(p_values) < 0.05, axis=0) < 0.05 + 3 * 0.034)
    assert np.std(scores) == pytest.approx(1.0, abs=0.45)
    far = model.rate_test(X, rate=0.9 * model.lowest_rate_)
    assert max(far.wald_p_value, far.score_p_value, far.likelihood_ratio_p_value) < 0.05


@pytest.mark.slow
def test_soft_spins_need_the_quartic_term():
    patterns = random_patterns(4, 20, seed=7)
    dynamics = ActiveOrnsteinUhlenbeck(
        dreaming(patterns, 0.5), persistence_time=0.0, active_temperature=0.0, temperature=1.0, potential=SoftSpin(1.0)
    )
    data = sample(dynamics, draws=200, chains=64, thin=2, burn_in=40, seed=8)
    model = ContinuousDreamingModel(patterns, "score-matching").fit(data)
    for name, truth in [("rate", 0.5), ("inverse_temperature", 1.0), ("stiffness", -1.0), ("quartic", 1.0)]:
        assert abs(getattr(model, f"{name}_") - truth) < 4 * getattr(model, f"{name}_std_"), name
    assert model.rate_std_ < 0.1
    assert np.isfinite(model.score(data))
    gaussian = ContinuousDreamingModel(patterns, "gaussian").fit(data)
    assert abs(gaussian.inverse_temperature_ - 1.0) > 10 * gaussian.inverse_temperature_std_


def test_posterior_and_attributes():
    patterns = random_patterns(4, 12, seed=9)
    X = rows_of_covariance(np.linalg.inv(4.0 * np.eye(12) - dreaming(patterns, 0.5)))
    model = ContinuousDreamingModel(patterns, "gaussian").fit(X)
    assert set(model.posterior(draws=10, random_state=0).data_vars) == {"rate", "inverse_temperature", "slope"}
    assert model.stiffness_std_ > 0
    assert not hasattr(model, "log_pseudolikelihood_")
    spins = DreamingModel(patterns).fit(np.where(X > 0, 1, -1))
    assert not hasattr(spins, "stiffness_")
    for fitted in (model, spins):  # every number is known: no attribute is there only to say that it is not
        assert not any(np.isnan(value) for value in vars(fitted).values() if isinstance(value, float))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X.__setitem__((3, 2), np.nan), "row 3, column 2 of X is NaN"),
        (lambda X: X.__setitem__((slice(None), 1), 0.0), "unit 1 never change"),
    ],
)
def test_bad_input_is_named(change, message):
    X = np.random.default_rng(0).normal(size=(20, 6))
    change(X)
    with pytest.raises(ValueError, match=message):
        ContinuousDreamingModel(random_patterns(3, 6, seed=0), "gaussian").fit(X)
