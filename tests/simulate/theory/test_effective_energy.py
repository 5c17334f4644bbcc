import numpy as np
import pytest

from simulate import ActiveOrnsteinUhlenbeck, Glauber, Harmonic, SoftSpin, hebbian, random_patterns, theory

ACTIVE_TEMPERATURE = 0.3


def exact_density(barrier, tau, x):
    """Stationary density of one soft spin with coloured noise: Fokker-Planck, Fourier in x, Hermite functions in v.

    p(x, v) = sum_n f_n(x) He_n(v / s) / sqrt(n!) times a Gaussian of standard deviation s = sqrt(T_a / tau):
    0 = -(n / tau) f_n + d/dx (u' f_n) - s d/dx (sqrt(n) f_{n-1} + sqrt(n + 1) f_{n+1}).
    """
    count, orders = len(x), 14
    length = count * (x[1] - x[0])
    wave = 2j * np.pi * np.fft.fftfreq(count, 1 / count) / length
    derivative = np.real(np.fft.ifft(wave[:, None] * np.fft.fft(np.eye(count), axis=0), axis=0))
    slope = np.diag(barrier * x * (x**2 - 1))
    ladder = np.diag(np.sqrt(np.arange(1.0, orders)), 1)
    operator = np.kron(np.eye(orders), derivative @ slope) - np.kron(np.diag(np.arange(orders)) / tau, np.eye(count))
    operator -= np.sqrt(ACTIVE_TEMPERATURE / tau) * np.kron(ladder + ladder.T, derivative)
    # one equation follows from the others: the normalisation takes its place
    operator[0] = 0.0
    operator[0, :count] = length / count
    right = np.zeros(len(operator))
    right[0] = 1.0
    return np.linalg.solve(operator, right)[:count]


def test_density_of_a_soft_spin_to_first_order_in_the_persistence_time():
    x = np.linspace(-2.4, 2.4, 97, endpoint=False)  # odd: no wave number without a partner
    step = x[1] - x[0]
    white = np.exp(-((x**2 - 1) ** 2) / 4 / ACTIVE_TEMPERATURE)
    white /= white.sum() * step
    errors, changes = [], []
    for tau in (0.04, 0.02):
        dynamics = ActiveOrnsteinUhlenbeck(np.zeros((1, 1)), tau, ACTIVE_TEMPERATURE, potential=SoftSpin(1.0))
        predicted = np.exp(-theory.effective_energy(dynamics, x[:, None]) / ACTIVE_TEMPERATURE)
        predicted /= predicted.sum() * step
        exact = exact_density(1.0, tau, x)
        errors.append(abs(predicted - exact).sum() * step)
        changes.append(abs(white - exact).sum() * step)
    # the error is of second order: it falls by 4 with half the persistence time, that of the bare energy by 2
    assert 3.2 < errors[0] / errors[1] < 4.8
    assert 1.7 < changes[0] / changes[1] < 2.3
    assert errors[1] < 0.15 * changes[1]


def test_harmonic_effective_energy_is_exact():
    couplings = hebbian(random_patterns(3, 10, seed=0))
    dynamics = ActiveOrnsteinUhlenbeck(couplings, 1.3, 0.4, potential=Harmonic(3.0), fields=0.2)
    stiffness = 3.0 * np.eye(10) - couplings
    mean = np.linalg.solve(stiffness, np.full(10, 0.2))
    precision = stiffness @ (np.eye(10) + 1.3 * stiffness) / 0.4
    states = np.random.default_rng(0).standard_normal((6, 10))
    deviations = states - mean
    expected = np.einsum("ki,ij,kj->k", deviations, precision, deviations) / 2
    found = theory.effective_energy(dynamics, states) / 0.4
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-10)


def test_without_persistence_it_is_the_energy():
    couplings = hebbian(random_patterns(3, 10, seed=0))
    dynamics = ActiveOrnsteinUhlenbeck(couplings, 0.0, 0.4, potential=SoftSpin(2.0), fields=0.1)
    x = np.random.default_rng(0).standard_normal(10)
    expected = -0.5 * x @ couplings @ x + 0.5 * ((x**2 - 1) ** 2).sum() - 0.1 * x.sum()
    assert theory.effective_energy(dynamics, x) == pytest.approx(expected)


def test_bad_input_is_named():
    couplings = np.zeros((3, 3))
    with pytest.raises(ValueError, match="temperature must be 0"):
        theory.effective_energy(ActiveOrnsteinUhlenbeck(couplings, 1.0, 0.3, temperature=0.1), np.zeros(3))
    with pytest.raises(ValueError, match="must have 3 units along the last axis"):
        theory.effective_energy(ActiveOrnsteinUhlenbeck(couplings, 1.0, 0.3), np.zeros(4))
    with pytest.raises(ValueError, match="no closed form of the effective energy is known for Glauber"):
        theory.effective_energy(Glauber(couplings, 1.0), np.ones(3))
