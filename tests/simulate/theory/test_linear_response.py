import numpy as np
import pytest
from scipy import integrate, linalg

from simulate import (
    ActiveOrnsteinUhlenbeck,
    ColoredFieldGlauber,
    Glauber,
    Harmonic,
    KineticIsing,
    Metropolis,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    Spherical,
    TwoTemperatureGlauber,
    hebbian,
    random_patterns,
    sample,
    theory,
)
from simulate.dynamics.responses import EquilibriumResponse

PATTERNS = random_patterns(5, 25, seed=0)
COUPLINGS = hebbian(PATTERNS)


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


def test_persistent_variance_is_the_integral_over_frequencies():
    # the noise correlation exp(-gamma t) met by the response exp(-(1 - g) t) gives 1 / (1 - g + gamma)
    for persistence in (0.0, 0.5, 0.9):
        gamma = 1 - persistence
        for g in (-0.5, 0.3, 0.8):
            assert theory.persistent_variance(0.0, persistence) == pytest.approx(1)
            lag = integrate.quad(lambda t, g=g, gamma=gamma: np.exp(-gamma * t) * np.exp(-(1 - g) * t), 0, np.inf)[0]
            expected = (1 + gamma * (1 - g)) / (1 - g) * lag
            assert theory.persistent_variance(g, persistence) == pytest.approx(expected, rel=1e-8)


def test_without_persistence_couplings_are_those_of_equilibrium():
    dynamics = PersistentGlauber(COUPLINGS, 3.0, 0.0)
    np.testing.assert_allclose(theory.effective_couplings(dynamics), COUPLINGS / 3.0, atol=1e-15)
    assert theory.dreaming_rate(dynamics) == 0.0
    assert theory.effective_slope(dynamics) == pytest.approx(1 / 3)


@pytest.mark.parametrize("persistence", [0.2, 0.5, 0.8])
def test_expansion_of_persistent_couplings(persistence):
    # at high temperature effective couplings are slope (J - l0 J^2) off the diagonal, up to third order
    temperature = 2000.0  # so high that the third order, allowed for, is far below the second, asked for
    dynamics = PersistentGlauber(COUPLINGS, temperature, persistence)
    slope = theory.effective_slope(dynamics)
    assert slope == pytest.approx(2 / ((2 - persistence) * temperature))
    l0 = persistence / (2 * (2 - persistence) * temperature)
    expected = slope * off_diagonal(COUPLINGS - l0 * COUPLINGS @ COUPLINGS)
    third_order = slope * (2 / temperature) ** 2
    np.testing.assert_allclose(theory.effective_couplings(dynamics), expected, atol=third_order)
    alpha = len(PATTERNS) / 25
    assert theory.dreaming_rate(dynamics) == pytest.approx(l0 / (1 + 2 * alpha * l0), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("potential", [Harmonic(4.0), Spherical()])
def test_stationary_covariance_solves_the_lyapunov_equation(temperature, potential):
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 1.5, 0.4, temperature=temperature, potential=potential)
    stiffness = dynamics.stiffness * np.eye(25) - COUPLINGS
    drift = np.block([[-stiffness, np.eye(25)], [np.zeros((25, 25)), -np.eye(25) / 1.5]])
    noise = linalg.block_diag(2 * temperature * np.eye(25), 2 * 0.4 / 1.5**2 * np.eye(25))
    joint = linalg.solve_continuous_lyapunov(drift, -noise)
    np.testing.assert_allclose(theory.stationary_covariance(dynamics), joint[:25, :25], atol=1e-9)
    precision = -np.linalg.inv(joint[:25, :25])
    np.testing.assert_allclose(theory.effective_couplings(dynamics), off_diagonal(precision), rtol=1e-6, atol=1e-8)


def test_effective_precision_of_athermal_active_units():
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 1.5, 0.4, potential=Harmonic(4.0))
    stiffness = 4.0 * np.eye(25) - COUPLINGS
    precision = stiffness @ (np.eye(25) + 1.5 * stiffness) / 0.4
    np.testing.assert_allclose(theory.effective_couplings(dynamics), -off_diagonal(precision), rtol=1e-9, atol=1e-12)
    assert theory.effective_slope(dynamics) == pytest.approx((1 + 2 * 4.0 * 1.5) / 0.4)
    # J - tau / (1 + 2 k tau) J^2, with the diagonal alpha = P / N that zero-diagonal couplings have lost
    assert theory.dreaming_rate(dynamics) == pytest.approx(1.5 / (1 + 2 * (4.0 + 0.2) * 1.5), rel=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_rate_of_active_units_by_finite_differences(temperature):
    # couplings so weak that only second order counts: the rate is that of the best member of the dreaming family
    dynamics = ActiveOrnsteinUhlenbeck(1e-4 * COUPLINGS, 1.5, 0.4, temperature=temperature, potential=Harmonic(4.0))
    effective = theory.effective_couplings(dynamics)
    first, second = off_diagonal(1e-4 * COUPLINGS), off_diagonal(1e-8 * COUPLINGS @ COUPLINGS)
    upper = np.triu_indices(25, 1)
    fit = np.linalg.lstsq(np.stack([first[upper], second[upper]], axis=1), effective[upper], rcond=None)[0]
    l0 = -fit[1] / fit[0]
    assert theory.effective_slope(dynamics) == pytest.approx(fit[0], rel=1e-5)
    assert theory.dreaming_rate(dynamics) == pytest.approx(l0 / (1 + 2 * 0.2e-4 * l0), rel=1e-2)


def test_where_no_closed_form_is_known_it_says_so():
    soft = ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.3, potential=SoftSpin(1.0))
    for question in (theory.effective_couplings, theory.dreaming_rate, theory.stationary_covariance):
        with pytest.raises(ValueError, match=r"no closed form .* ActiveOrnsteinUhlenbeck with SoftSpin potential"):
            question(soft)
    with pytest.raises(ValueError, match="no closed form of the stationary covariance is known for PersistentGlauber"):
        theory.stationary_covariance(PersistentGlauber(COUPLINGS, 2.0, 0.1))
    with pytest.raises(ValueError, match="linear response holds above the transition only"):
        theory.effective_couplings(PersistentGlauber(COUPLINGS, 0.5, 0.5))


def test_coloured_variance_is_the_integral_over_frequencies():
    # the correlation of tanh(v / T), by a double average over the joint law of v(0), v(t), met by the response
    temperature, tau, active = 1.4, 2.0, 3.0
    points, shares = np.polynomial.hermite_e.hermegauss(60)
    shares = shares / shares.sum()
    width = np.sqrt(active / tau) / temperature

    def correlation(t):
        rho = np.exp(-t / tau)
        later = np.tanh(width * (rho * points[:, None] + np.sqrt(1 - rho**2) * points))
        return shares @ (np.tanh(width * points)[:, None] * later) @ shares

    for g in (-0.4, 0.0, 0.5):
        # noise of variance 1 - int exp(-t) c(t) dt without memory, and c(t), both met by exp(-(1 - g) t)
        fast = 1 - integrate.quad(lambda t: np.exp(-t) * correlation(t), 0, 40, epsabs=1e-10)[0]
        slow = integrate.quad(lambda t, g=g: np.exp(-(1 - g) * t) * correlation(t), 0, 60, epsabs=1e-10)[0]
        expected = (fast + slow) / (1 - g)
        assert theory.coloured_variance(g, temperature, tau, active) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_coloured_field_glauber_agrees_with_simulation():
    # load 0.1 far above the transition, where linear response is right up to about beta^2 alpha = 0.5 %
    patterns = random_patterns(20, 200, seed=0)
    dynamics = ColoredFieldGlauber(PatternCouplings(patterns), 4.0, 3.0, 30.0)
    samples = sample(dynamics, 1500, chains=16, burn_in=50, thin=3, seed=0, check=False)["spins"].values
    values, vectors = np.linalg.eigh(hebbian(patterns))
    gain = theory.effective_slope(ColoredFieldGlauber(np.zeros((2, 2)), 4.0, 3.0, 30.0))
    leading = vectors[:, -20:]
    found = ((samples @ leading) ** 2).mean(axis=1)
    by_chain = found @ values[-20:] / values[-20:].sum()
    beta = float(np.mean(1 / np.cosh(np.sqrt(10.0) / 4 * np.random.default_rng(0).standard_normal(10**6)) ** 2) / 4)
    assert gain > 1.05 * beta  # activity adds to the slope
    predicted = theory.coloured_variance(beta * values[-20:], 4.0, 3.0, 30.0) @ values[-20:] / values[-20:].sum()
    passive = (1 / (1 - beta * values[-20:])) @ values[-20:] / values[-20:].sum()
    error = by_chain.std(ddof=1) / 4
    assert abs(by_chain.mean() - predicted) < 4 * error + 0.01 * predicted
    assert abs(passive - by_chain.mean()) > 1.5 * (4 * error + 0.01 * predicted)  # activity is told from none


def test_expansion_of_coloured_couplings():
    dynamics = ColoredFieldGlauber(1e-3 * COUPLINGS, 1.0, 2.0, 1.5)
    effective = theory.effective_couplings(dynamics)
    upper = np.triu_indices(25, 1)
    basis = np.stack([1e-3 * COUPLINGS[upper], 1e-6 * (COUPLINGS @ COUPLINGS)[upper]], axis=1)
    first, second = np.linalg.lstsq(basis, effective[upper], rcond=None)[0]
    assert theory.effective_slope(dynamics) == pytest.approx(first, rel=1e-4)
    l0 = -second / first
    assert theory.dreaming_rate(dynamics) == pytest.approx(l0 / (1 + 2 * 0.2e-3 * l0), rel=2e-2)


def test_dynamics_that_only_rescale_the_couplings():
    for dynamics in (
        Glauber(COUPLINGS, 2.0),
        Metropolis(COUPLINGS, 2.0),
        ColoredFieldGlauber(COUPLINGS, 2.0, 1.0, 0.0),
    ):
        np.testing.assert_allclose(theory.effective_couplings(dynamics), COUPLINGS / 2.0, atol=1e-12)
        assert theory.dreaming_rate(dynamics) == pytest.approx(0, abs=1e-12)
        assert theory.effective_slope(dynamics) == pytest.approx(0.5)
    mixed = TwoTemperatureGlauber(COUPLINGS, 2.0, 4.0, share=0.25)
    np.testing.assert_allclose(theory.effective_couplings(mixed), COUPLINGS * (0.75 / 2 + 0.25 / 4), atol=1e-15)
    with pytest.raises(ValueError, match="no closed form"):
        theory.effective_couplings(Glauber(COUPLINGS, np.full(25, 2.0)))


def test_expansions_are_refused_below_the_transition_and_under_fields():
    # at load 0.2, T = 0.3 and persistence 0.5 the expansion gave 0.4545; fits to samples find 0.030
    couplings = hebbian(random_patterns(80, 400, seed=0))
    for question in (theory.dreaming_rate, theory.effective_slope):
        for cold in (
            PersistentGlauber(couplings, 0.3, 0.5),
            PersistentGlauber(couplings, 1.3, 0.5),
            ColoredFieldGlauber(couplings, 0.8, 1.0, 0.2),
            TwoTemperatureGlauber(couplings, 0.5, 2.0),
            ActiveOrnsteinUhlenbeck(couplings, 1.0, 2.7),
        ):
            with pytest.raises(ValueError, match="above the transition only"):
                question(cold)
        for warm in (
            PersistentGlauber(couplings, 1.6, 0.5),
            ColoredFieldGlauber(couplings, 1.6, 1.0, 0.2),
            ActiveOrnsteinUhlenbeck(couplings, 1.0, 3.3),
        ):
            assert question(warm) > 0
    for question in (theory.dreaming_rate, theory.effective_slope, theory.effective_couplings):
        for driven in (
            PersistentGlauber(couplings, 2.5, 0.5, fields=0.1),
            ColoredFieldGlauber(couplings, 2.5, 1.0, 0.5, fields=np.linspace(0, 1, 400)),
            TwoTemperatureGlauber(couplings, 2.5, 3.0, fields=0.1),
        ):
            with pytest.raises(ValueError, match="without external fields only; sample it and fit instead"):
                question(driven)


def test_where_fields_change_nothing_they_are_allowed():
    # equilibrium: exactly J / T in any field and at any temperature; linear units: only the means move
    for dynamics in (Glauber(COUPLINGS, 0.2, fields=0.3), PersistentGlauber(COUPLINGS, 0.2, 0.0, fields=0.3)):
        np.testing.assert_allclose(theory.effective_couplings(dynamics), COUPLINGS / 0.2, atol=1e-14)
        assert theory.dreaming_rate(dynamics) == 0
        assert theory.effective_slope(dynamics) == pytest.approx(5.0)
    plain, pulled = (ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 4.0, fields=h) for h in (None, 0.5))
    np.testing.assert_array_equal(theory.effective_couplings(plain), theory.effective_couplings(pulled))
    assert theory.dreaming_rate(plain) == theory.dreaming_rate(pulled)


def test_a_dynamics_of_ones_own_answers_by_its_response():
    class Halved(Glauber):
        def response(self):
            return EquilibriumResponse(2 * self.temperature)

    dynamics = Halved(COUPLINGS, 1.5)
    np.testing.assert_allclose(theory.effective_couplings(dynamics), COUPLINGS / 3, atol=1e-15)
    assert theory.effective_slope(dynamics) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="no closed form of the dreaming rate is known for KineticIsing"):
        theory.dreaming_rate(KineticIsing(COUPLINGS, 2.0))
