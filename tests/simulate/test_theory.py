import numpy as np
import pytest
from scipy import integrate, linalg

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Harmonic,
    PersistentGlauber,
    SoftSpin,
    Spherical,
    hebbian,
    random_patterns,
    theory,
)

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
    temperature = 200.0
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
