from itertools import product

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Glauber,
    Harmonic,
    KineticIsing,
    PersistentGlauber,
    SoftSpin,
    Spherical,
    hebbian,
    random_patterns,
    sample,
    theory,
    trajectory,
)
from tests.exact import all_states

COUPLINGS = hebbian(random_patterns(4, 12, seed=3))


@pytest.mark.parametrize("potential", [Harmonic(2.5), Spherical()])
def test_power_of_linear_units_is_temperature_times_the_closed_form(potential):
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.7, 0.5, 0.3, potential, fields=0.4)
    states = sample(dynamics, draws=2000, chains=8, burn_in=20, thin=2, seed=0)
    found, error = theory.estimate_dissipation(dynamics, states)
    expected = 0.3 * theory.entropy_production(dynamics)
    assert error < 0.04 * expected
    assert abs(found - expected) < 4 * error  # false alarm 1e-4
    still = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.0, 0.5, 0.3, potential)
    assert theory.estimate_dissipation(still, states) == (0.0, 0.0)


def joint_law_of_one_unit(dynamics, half_width=2.6, n_points=700, n_orders=24):
    """Positions, their density, and the density of v at each, from the Fokker-Planck equation of (x, v).

    p(x, v) = sum_n c_n(x) He_n(v / w) g(v) / sqrt(n!), w^2 = T_a / tau; v couples neighbouring orders, and order n
    decays at the rate n / tau. Central differences in x.
    """
    w = np.sqrt(dynamics.active_temperature / dynamics.persistence_time)
    x, step = np.linspace(-half_width, half_width, n_points, retstep=True)
    first = sparse.diags([-1.0, 1.0], [-1, 1], shape=(n_points, n_points)) / (2 * step)
    second = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n_points, n_points)) / step**2
    drift = first @ sparse.diags(dynamics.potential.derivative(x)) + dynamics.temperature * second
    orders = np.arange(n_orders)
    raising = sparse.diags(np.sqrt(orders[1:]), -1) + sparse.diags(np.sqrt(orders[1:]), 1)
    operator = (
        sparse.kron(sparse.eye(n_orders), drift)
        - w * sparse.kron(raising, first)
        - sparse.kron(sparse.diags(1.0 * orders / dynamics.persistence_time), sparse.eye(n_points))
    ).tolil()
    right = np.zeros(n_points * n_orders)
    operator[n_points // 2] = 0
    operator[n_points // 2, :n_points] = step  # normalisation, in place of one of the equations
    right[n_points // 2] = 1
    density = spsolve(operator.tocsc(), right).reshape(n_orders, n_points)
    return x, density[0] * step, w * density[1] * step


def test_power_of_a_soft_spin_by_its_joint_law():
    dynamics = ActiveOrnsteinUhlenbeck(np.zeros((1, 1)), 1.5, 0.3, 0.1, SoftSpin(1.0))
    x, density, noise = joint_law_of_one_unit(dynamics)
    assert density.sum() == pytest.approx(1)
    slope, curvature = dynamics.potential.derivative(x), dynamics.potential.curvature(x)
    power = 0.3 / 1.5 - noise @ slope  # <v (v - u')>
    assert power == pytest.approx(0.3 / 1.5 - density @ slope**2 + 0.1 * density @ curvature, rel=1e-3)
    many = ActiveOrnsteinUhlenbeck(np.zeros((40, 40)), 1.5, 0.3, 0.1, SoftSpin(1.0))
    states = sample(many, draws=60, chains=16, burn_in=20, thin=2, seed=0)
    found, error = theory.estimate_dissipation(many, states)
    assert error < 0.04 * 40 * power
    assert abs(found / 40 - power) < 4 * error / 40 + 0.003 * power  # and the error of the time step


def joint_chain(couplings, fields, temperature, persistence):
    """States (spins, classes of thresholds) of persistent spins, and the transition matrix of each spin's update.

    A threshold matters only by which of the fields that its spin may meet it exceeds: there are finitely many classes.
    """
    n = len(couplings)
    spins = all_states(n)
    met = np.round(-(spins @ couplings + fields) / temperature, 12)
    edges = [np.unique(met[:, i]) for i in range(n)]
    shares = [np.diff(np.concatenate([[0], 1 / (1 + np.exp(-2 * edge)), [1]])) for edge in edges]
    states = list(product(range(2**n), *(range(len(share)) for share in shares)))
    at = {state: k for k, state in enumerate(states)}
    fresh, kept = np.zeros((2, n, len(states), len(states)))
    for k, (s, *classes) in enumerate(states):
        for i in range(n):
            needed = np.searchsorted(edges[i], met[s, i])
            for new, share in enumerate(shares[i]):
                target = s | (1 << i) if new > needed else s & ~(1 << i)
                fresh[i, k, at[(target, *classes[:i], new, *classes[i + 1 :])]] += (1 - persistence) * share
            target = s | (1 << i) if classes[i] > needed else s & ~(1 << i)
            kept[i, k, at[(target, *classes)]] += persistence
    return spins, np.array([s for s, *_ in states]), fresh, kept


def stationary(step):
    matrix = np.vstack([step.T - np.eye(len(step)), np.ones(len(step))])
    return np.linalg.lstsq(matrix, np.append(np.zeros(len(step)), 1.0), rcond=None)[0]


PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])
PAIR_FIELDS = np.array([0.5, -0.2])


def test_heat_of_two_persistent_spins_by_enumeration():
    spins, label, fresh, kept = joint_chain(PAIR, PAIR_FIELDS, 0.9, 0.7)
    law = stationary((fresh + kept).mean(axis=0))
    energy = (-spins[:, 0] * spins[:, 1] * 1.0 - spins @ PAIR_FIELDS)[label]
    heat = (law * fresh.sum(axis=(0, 2))) @ energy - law @ fresh.sum(axis=0) @ energy
    # what fresh updates give to the bath, kept ones take up
    taken = law @ kept.sum(axis=0) @ energy - (law * kept.sum(axis=(0, 2))) @ energy
    assert heat == pytest.approx(taken, abs=1e-12)
    assert abs(heat) > 1e-3
    dynamics = PersistentGlauber(PAIR, 0.9, 0.7, fields=PAIR_FIELDS)
    means = np.array([law[label == s].sum() for s in range(4)])
    exact = sum(
        p * theory.estimate_dissipation(dynamics, [[row, row]], n_batches=2)[0]
        for p, row in zip(means, spins, strict=True)
    )
    assert exact == pytest.approx(heat, rel=1e-9)
    states = sample(dynamics, draws=40_000, chains=4, burn_in=20, thin=2, seed=0)
    found, error = theory.estimate_dissipation(dynamics, states)
    assert abs(found - heat) < 4 * error
    assert error < 0.2 * abs(heat)


def test_equilibrium_gives_no_heat():
    dynamics = PersistentGlauber(COUPLINGS, 1.0, 0.0)
    # over 60 seeds the ratio of both has the mean 0.04 and the standard deviation 1.05
    found, error = theory.estimate_dissipation(dynamics, sample(dynamics, draws=4000, chains=4, seed=1))
    assert abs(found) < 4 * error


def word_rates(step, label, n_states, longest):
    """(D_k - D_(k-1)) per step for k = 2 ... longest, exactly."""
    inside = [np.diag((label == s).astype(float)) for s in range(n_states)]
    words = {(s,): stationary(step) @ inside[s] for s in range(n_states)}
    entropies = [0.0]
    for _ in range(longest - 1):
        words = {(*word, s): law @ step @ inside[s] for word, law in words.items() for s in range(n_states)}
        sums = {word: law.sum() for word, law in words.items() if law.sum() > 1e-15}
        entropies.append(sum(p * np.log(p / sums[word[::-1]]) for word, p in sums.items()))
    return np.diff(entropies)


def test_words_of_markov_spins_give_their_entropy_production():
    rng = np.random.default_rng(0)
    couplings = 1.2 * rng.standard_normal((3, 3))
    np.fill_diagonal(couplings, 0.0)
    spins = all_states(3)
    step = np.zeros((8, 8))
    for s, i in product(range(8), range(3)):
        up = 1 / (1 + np.exp(-2 * (couplings @ spins[s])[i]))
        step[s, s | (1 << i)] += up / 3
        step[s, s & ~(1 << i)] += (1 - up) / 3
    exact = word_rates(step, np.arange(8), 8, 4)
    np.testing.assert_allclose(exact, exact[0], rtol=1e-6)  # Markov: all lengths agree
    run = trajectory(KineticIsing(couplings, 1.0), 10_000, chains=4, burn_in=20, seed=0)
    for length in (2, 3):
        found, error = theory.estimate_word_entropy_production(run, 1 / 3, length=length)
        assert error < 0.1 * 3 * exact[0]
        assert abs(found - 3 * exact[0]) < 4 * error + 0.02 * 3 * exact[0]  # rare words are seen one way only
    balanced = trajectory(Glauber((couplings + couplings.T) / 2, 1.0), 10_000, chains=4, burn_in=20, seed=0)
    found, error = theory.estimate_word_entropy_production(balanced, 1 / 3)
    assert abs(found) < 4 * error + 1e-3


def test_persistent_spins_are_almost_reversible_to_the_eye():
    # exact, per sweep: below a thousandth of Boltzmann's constant, most of it in longer words
    _, label, fresh, kept = joint_chain(PAIR, PAIR_FIELDS, 0.9, 0.7)
    exact = 2 * word_rates((fresh + kept).mean(axis=0), label, 4, 5)
    assert (exact > 0).all()
    assert exact[-1] > 10 * exact[0]
    assert exact[-1] < 1e-3
    dynamics = PersistentGlauber(PAIR, 0.9, 0.7, fields=PAIR_FIELDS)
    run = trajectory(dynamics, 40_000, chains=4, burn_in=20, seed=0)
    found, error = theory.estimate_word_entropy_production(run, 0.5, length=4)
    assert error < 3e-3
    assert abs(found - exact[2]) < 4 * error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.estimate_dissipation(Glauber(COUPLINGS, 1.0), np.ones((50, 12))), "dissipation of Glauber"),
        (lambda: theory.estimate_dissipation(PersistentGlauber(COUPLINGS, 1.0), np.ones((50, 11))), "11 variables"),
        (lambda: theory.estimate_dissipation(PersistentGlauber(COUPLINGS, 1.0), np.ones((5, 12))), "too few for 20"),
        (lambda: theory.estimate_word_entropy_production(np.zeros((50, 2)), 1.0), r"must be \+1 or -1"),
        (lambda: theory.estimate_word_entropy_production(np.ones((50, 12)), 1.0), "too many"),
        (lambda: theory.estimate_word_entropy_production(np.ones((50, 2)), 1.0), "48 words are too few"),
        (lambda: theory.estimate_word_entropy_production(np.ones(50), 1.0), "two or three axes"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
