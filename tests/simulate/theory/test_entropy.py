import numpy as np
import pytest
from scipy import linalg

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Harmonic,
    KineticIsing,
    SoftSpin,
    Spherical,
    hebbian,
    random_patterns,
    theory,
    trajectory,
)

COUPLINGS = hebbian(random_patterns(3, 12, seed=0))
DRIFT = np.array([[1.0, 0.8, 0.0], [-0.6, 1.2, 0.3], [0.1, -0.9, 0.8]])
DIFFUSION = np.array([0.5, 1.0, 0.3])


def transition(drift, diffusion, interval):
    """Exact propagator and noise covariance of dx = -A x dt + noise over an interval, and the stationary covariance."""
    stationary = linalg.solve_continuous_lyapunov(drift, 2 * diffusion)
    step = linalg.expm(-drift * interval)
    return step, stationary - step @ stationary @ step.T, stationary


def path_ratio(drift, diffusion, parity, interval):
    """Mean of log p(x' | x) - log p(-+x | -+x') an interval, from the exact Gaussian transition densities."""
    step, noise, stationary = transition(drift, diffusion, interval)
    precision = np.linalg.inv(noise)
    mirror = np.diag(parity)
    # residual of the reversed step is linear in (x, noise): mirror x - step mirror (step x + noise)
    forward = np.trace(precision @ noise)
    from_state = mirror - step @ mirror @ step
    backward = np.trace(precision @ (from_state @ stationary @ from_state.T))
    backward += np.trace(precision @ (step @ mirror @ noise @ mirror @ step.T))
    return (backward - forward) / (2 * interval)


def with_velocity(dynamics):
    """Drift and diffusion of (x, v) of one mode after the other."""
    modes = dynamics.stiffness - np.linalg.eigvalsh(dynamics.couplings)
    tau = dynamics.persistence_time
    drift = linalg.block_diag(*[[[a, -1.0], [0.0, 1 / tau]] for a in modes])
    diffusion = np.diag(np.tile([dynamics.temperature, dynamics.active_temperature / tau**2], len(modes)))
    return drift, diffusion


def test_linear_dynamics_is_the_limit_of_the_path_ratio():
    expected = theory.linear_entropy_production(DRIFT, DIFFUSION)
    assert expected > 0.5
    ratios = [path_ratio(DRIFT, np.diag(DIFFUSION), np.ones(3), interval) for interval in (2e-3, 1e-3)]
    assert abs(ratios[0] - expected) < 0.02 * expected
    assert 2 * ratios[1] - ratios[0] == pytest.approx(expected, rel=1e-4)


def test_two_units_in_closed_form():
    # dx = -x dt + w y, dy = -y dt - w x, equal noise D: a rotation with rate w and 2 w^2 of entropy production
    assert theory.linear_entropy_production([[1.0, -0.7], [0.7, 1.0]], [0.4, 0.4]) == pytest.approx(2 * 0.7**2)


def test_detailed_balance_produces_nothing():
    symmetric = DRIFT + DRIFT.T
    assert theory.linear_entropy_production(symmetric, np.full(3, 0.7)) == pytest.approx(0, abs=1e-12)
    # asymmetric drift, but D^-1 A symmetric
    assert theory.linear_entropy_production(np.diag(DIFFUSION) @ symmetric, DIFFUSION) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("potential", [Harmonic(2.5), Spherical()])
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_active_units_are_the_limit_of_the_path_ratio(potential, parity):
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.7, 0.5, temperature=0.3, potential=potential)
    drift, diffusion = with_velocity(dynamics)
    signs = np.tile([1.0, 1.0 if parity == "even" else -1.0], 12)
    found = theory.entropy_production(dynamics, parity)
    ratios = [path_ratio(drift, diffusion, signs, interval) for interval in (2e-4, 1e-4)]
    assert 2 * ratios[1] - ratios[0] == pytest.approx(found, rel=1e-4)
    if parity == "even":
        assert theory.linear_entropy_production(drift, np.diag(diffusion)) == pytest.approx(found, rel=1e-9)


def test_limits_of_active_units():
    warm = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.7, 0.5, temperature=0.3, potential=Harmonic(2.5))
    cold = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.7, 0.5, potential=Harmonic(2.5))
    assert theory.entropy_production(warm, "hidden") == theory.entropy_production(cold, "hidden") == 0
    assert theory.entropy_production(cold) == theory.entropy_production(cold, "odd") == np.inf
    assert theory.entropy_production(ActiveOrnsteinUhlenbeck(COUPLINGS, 0.0, 0.5, potential=Harmonic(2.5))) == 0


def simulate_linear(drift, diffusion, interval, n_steps, seed):
    """Exact trajectory of linear dynamics, started in the steady state."""
    step, noise, stationary = transition(drift, diffusion, interval)
    rng = np.random.default_rng(seed)
    kicks = rng.standard_normal((n_steps, len(drift))) @ np.linalg.cholesky(noise).T
    states = np.empty((n_steps, len(drift)))
    states[0] = np.linalg.cholesky(stationary) @ rng.standard_normal(len(drift))
    for k in range(1, n_steps):
        states[k] = step @ states[k - 1] + kicks[k]
    return states


@pytest.mark.slow
def test_estimate_from_trajectories_agrees_with_closed_forms():
    expected = theory.linear_entropy_production(DRIFT, DIFFUSION)
    states = simulate_linear(DRIFT, np.diag(DIFFUSION), 0.01, 200_000, seed=0)
    found, error = theory.estimate_entropy_production(states, 0.01)
    assert error < 0.1 * expected
    assert abs(found - expected) < 4 * error + 0.01 * expected  # pairs at a distance of 0.01 see a little less
    reversed_in_time, _ = theory.estimate_entropy_production(states[::-1], 0.01)
    assert reversed_in_time == pytest.approx(found, rel=0.02)
    balanced = simulate_linear(DRIFT + DRIFT.T, np.eye(3), 0.01, 200_000, seed=1)
    found, error = theory.estimate_entropy_production(balanced, 0.01)
    assert abs(found) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_estimate_for_active_units_agrees_with_closed_forms(parity):
    dynamics = ActiveOrnsteinUhlenbeck(np.zeros((1, 1)), 0.7, 0.5, temperature=0.3, potential=Harmonic(1.5))
    drift, diffusion = with_velocity(dynamics)
    states = simulate_linear(drift, diffusion, 0.01, 200_000, seed=2)
    signs = [1, 1 if parity == "even" else -1]
    expected = theory.entropy_production(dynamics, parity)
    found, error = theory.estimate_entropy_production(states, 0.01, parity=signs)
    assert error < 0.2 * expected
    assert abs(found - expected) < 4 * error + 0.02 * expected
    hidden, error = theory.estimate_entropy_production(states[:, :1], 0.01)
    assert abs(hidden) <= 1e-9


def test_estimate_takes_trajectories_of_dynamics():
    rng = np.random.default_rng(0)
    couplings = 0.3 * rng.standard_normal((5, 5))
    np.fill_diagonal(couplings, 0.0)
    rates = []
    for J in (couplings, (couplings + couplings.T) / 2):
        run = trajectory(KineticIsing(J, 1.0), 4000, interval=0.2, chains=4, burn_in=20, seed=0)
        rates.append(theory.estimate_entropy_production(run, 0.2))
    assert rates[0][0] > 6 * rates[0][1]
    assert abs(rates[1][0]) < 4 * rates[1][1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.linear_entropy_production(np.zeros((2, 3)), [1, 1]), "drift must be a square matrix"),
        (lambda: theory.linear_entropy_production(-np.eye(2), [1, 1]), "eigenvalue of real part -1"),
        (lambda: theory.linear_entropy_production(np.eye(2), [1, 0]), "positive definite"),
        (lambda: theory.linear_entropy_production(np.eye(2), [1, 1, 1]), r"must have shape \(2, 2\) or \(2,\)"),
        (lambda: theory.estimate_entropy_production(np.zeros(5), 0.1), "must have shape"),
        (lambda: theory.estimate_entropy_production(np.zeros((50, 2)), 0.1), "too few"),
        (lambda: theory.estimate_entropy_production(np.zeros((5000, 2)), 0.1), "constant"),
        (lambda: theory.estimate_entropy_production(np.ones((5000, 2)), 0.1, parity=[1]), "parity must hold"),
        (
            lambda: theory.entropy_production(ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.3, potential=SoftSpin(1.0))),
            "no closed form of the entropy production is known",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
