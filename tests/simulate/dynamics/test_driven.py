"""Every dynamics against the exact stationary vector of its transition matrix, for systems small enough to write it."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

from simulate import (
    ColoredFieldGlauber,
    Glauber,
    KineticIsing,
    Metropolis,
    PersistentGlauber,
    TwoTemperatureGlauber,
    hebbian,
    random_patterns,
    sample,
    trajectory,
)
from simulate.dynamics import threshold_kernels as kernels
from tests import exact
from tests.simulate.dynamics.test_spins import chi_square_p_value

N_SPINS = 5
SYMMETRIC = exact.random_couplings(N_SPINS, 1.5, seed=3)
ASYMMETRIC = np.random.default_rng(4).normal(0.0, 0.7, (N_SPINS, N_SPINS)) * (1 - np.eye(N_SPINS))
FIELDS = np.array([0.3, -0.2, 0.0, 0.5, -0.4])


def stationary(matrix):
    """Stationary vector of a column-stochastic matrix."""
    size = len(matrix)
    system = matrix - np.eye(size)
    system[0] = 1.0  # its columns sum to zero, so any row may give way to the normalisation
    return np.linalg.solve(system, np.eye(size)[0])


def one_at_a_time(probability_up):
    """Transition matrix of random-sequential updates; probability_up(i, state) of the new spin i."""
    states = exact.all_states(N_SPINS).astype(float)
    matrix = np.zeros((len(states), len(states)))
    for source, state in enumerate(states):
        for i in range(N_SPINS):
            for value, chance in ((1, probability_up(i, state)), (-1, 1 - probability_up(i, state))):
                target = state.copy()
                target[i] = value
                matrix[exact.state_index(target), source] += chance / N_SPINS
    return matrix


def heat_bath(couplings, temperature):
    temperature = np.broadcast_to(temperature, N_SPINS)
    return lambda i, state: 1 / (1 + np.exp(-2 * (couplings[i] @ state + FIELDS[i]) / temperature[i]))


def metropolis(i, state):
    turn = min(1.0, np.exp(-2 * state[i] * (SYMMETRIC[i] @ state + FIELDS[i]) / 1.2))
    return 1 - turn if state[i] > 0 else turn


def parallel():
    states = exact.all_states(N_SPINS).astype(float)
    up = 1 / (1 + np.exp(-2 * (states @ ASYMMETRIC.T + FIELDS) / 1.2))
    return np.prod(np.where(states[:, None, :] > 0, up[None], 1 - up[None]), axis=2)


BATHS = np.array([0.8, 2.0, 1.0, 3.0, 1.5])


def mixture(i, state):
    return 0.3 * heat_bath(SYMMETRIC, 4.0)(i, state) + 0.7 * heat_bath(SYMMETRIC, 0.9)(i, state)


CASES = {
    "Glauber": (Glauber(SYMMETRIC, 1.2, FIELDS), lambda: one_at_a_time(heat_bath(SYMMETRIC, 1.2))),
    "Metropolis": (Metropolis(SYMMETRIC, 1.2, FIELDS), lambda: one_at_a_time(metropolis)),
    "a bath for each spin": (Glauber(SYMMETRIC, BATHS, FIELDS), lambda: one_at_a_time(heat_bath(SYMMETRIC, BATHS))),
    "two baths": (TwoTemperatureGlauber(SYMMETRIC, 0.9, 4.0, 0.3, FIELDS), lambda: one_at_a_time(mixture)),
    "sequential": (
        KineticIsing(ASYMMETRIC, 1.2, "sequential", FIELDS),
        lambda: one_at_a_time(heat_bath(ASYMMETRIC, 1.2)),
    ),
    "parallel": (KineticIsing(ASYMMETRIC, 1.2, "parallel", FIELDS), parallel),
}


def sampled(dynamics, **arguments):
    # 15 sweeps apart, where no mode of these five spins is remembered to more than 1 %
    samples = sample(dynamics, **{"draws": 2500, "chains": 16, "burn_in": 100, "thin": 15, "seed": 2} | arguments)
    return samples["spins"].values.reshape(-1, dynamics.n_spins)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_stationary_state(name):
    """Chi-square over all 32 states; a right sampler fails once in 1000."""
    dynamics, matrix = CASES[name]
    assert chi_square_p_value(sampled(dynamics), stationary(matrix())) > 1e-3


@pytest.mark.slow
def test_equilibrium_dynamics_share_the_boltzmann_state_and_driven_ones_do_not():
    boltzmann = exact.boltzmann(SYMMETRIC, FIELDS, temperature=1.2)
    for name in ("Glauber", "Metropolis"):
        np.testing.assert_allclose(stationary(CASES[name][1]()), boltzmann, atol=1e-10)
    for name in ("a bath for each spin", "two baths", "sequential", "parallel"):
        assert chi_square_p_value(sampled(CASES[name][0]), boltzmann) < 1e-6


def persistent_stationary(couplings, temperature, persistence, fields):
    """Exact law of the spins under persistent thresholds.

    A threshold matters only through which fields it overcomes: between two neighbouring values of -h / T it may be
    anywhere. So (spins, interval of each threshold) is a Markov chain with finitely many states, exactly.
    """
    n_spins = len(couplings)
    states = exact.all_states(n_spins)
    local = states @ couplings.T + fields
    cuts = [np.unique(np.round(-local[:, i] / temperature, 12)) for i in range(n_spins)]
    chances = [np.diff(np.concatenate([[0.0], stats.logistic.cdf(2 * cut), [1.0]])) for cut in cuts]
    joint = list(product(range(len(states)), *[range(len(chance)) for chance in chances]))
    index = {state: k for k, state in enumerate(joint)}
    matrix = np.zeros((len(joint), len(joint)))
    for k, (state, *intervals) in enumerate(joint):
        for i in range(n_spins):
            level = np.searchsorted(cuts[i], np.round(-local[state, i] / temperature, 12))
            for interval, chance in enumerate(chances[i]):
                chance = (1 - persistence) * chance + persistence * (interval == intervals[i])
                target = states[state].copy()
                target[i] = 1 if interval > level else -1
                held = [interval if j == i else intervals[j] for j in range(n_spins)]
                matrix[index[(int(exact.state_index(target)), *held)], k] += chance / n_spins
    law = stationary(matrix)
    return np.bincount([state for state, *_ in joint], weights=law, minlength=len(states))


@pytest.mark.slow
@pytest.mark.parametrize("persistence", [0.5, 0.9])
def test_persistent_thresholds_have_their_exact_stationary_law(persistence):
    couplings = np.array([[0.0, 0.9, -0.4], [0.9, 0.0, 0.6], [-0.4, 0.6, 0.0]])
    fields = np.array([0.2, 0.0, -0.3])
    law = persistent_stationary(couplings, 1.1, persistence, fields)
    boltzmann = persistent_stationary(couplings, 1.1, 0.0, fields)
    np.testing.assert_allclose(boltzmann, exact.boltzmann(couplings, fields, temperature=1.1), atol=1e-10)
    # thresholds are forgotten at the rate 1 - persistence a sweep
    states = sampled(PersistentGlauber(couplings, 1.1, persistence, fields), thin=round(15 / (1 - persistence)))
    assert chi_square_p_value(states, law) > 1e-3
    assert chi_square_p_value(states, boltzmann) < 1e-6


def test_coloured_fields_are_an_ornstein_uhlenbeck_process_at_the_visits():
    n_spins, n_chains, tau, strength, unit = 4, 200, 1.5, 0.8, 2.0
    rng = np.random.default_rng(0)
    state = rng.integers(1, 2**32, size=(n_chains, 4, 16), dtype=np.uint32)
    sites = np.tile(np.arange(n_spins, dtype=np.int32), (n_chains, 250))  # each spin is visited once a sweep
    memory = strength * rng.standard_normal((n_chains, n_spins))
    last_visit = np.tile(np.arange(n_spins) - n_spins, (n_chains, 1))
    out = np.empty((2, n_chains, 250 * n_spins), dtype=np.float32)
    for call, start in enumerate((0, sites.shape[1])):  # in two calls: the clock must go on
        kernels.fill_coloured(state, np.float32(0.0), tau, strength, unit, sites, start, last_visit, memory, out[call])
    field = unit * out.transpose(0, 2, 1).reshape(500, n_spins, n_chains)
    spaced = field[::20].ravel() / strength  # exp(-20 / 1.5): independent
    assert stats.kstest(spaced.astype(float), stats.norm.cdf).pvalue > 1e-3
    for lag in (1, 3):
        correlation = (field[lag:] * field[:-lag]).mean() / strength**2
        # 400 000 products of about 3 sweeps' memory: standard error 0.003
        assert correlation == pytest.approx(np.exp(-lag / tau), abs=0.015)
    assert abs(np.corrcoef(field[:, 0].ravel(), field[:, 1].ravel())[0, 1]) < 0.015


def test_a_free_spin_in_a_coloured_field_has_the_averaged_magnetisation():
    dynamics = ColoredFieldGlauber(np.zeros((20, 20)), 0.7, 2.0, 1.3, fields=0.4)
    strength = np.sqrt(1.3 / 2.0)
    expected = integrate.quad(lambda v: np.tanh((0.4 + v) / 0.7) * stats.norm.pdf(v, scale=strength), -10, 10)[0]
    spins = sample(dynamics, draws=1500, chains=16, burn_in=50, thin=10, seed=1)["spins"].values.astype(float)
    chains = spins.mean(axis=(1, 2))
    assert abs(chains.mean() - expected) < 5 * chains.std(ddof=1) / 4


def test_without_active_temperature_a_coloured_field_is_none():
    couplings = hebbian(random_patterns(2, 8, seed=0))
    dynamics = ColoredFieldGlauber(couplings, 1.5, 3.0, 0.0)
    assert chi_square_p_value(sampled(dynamics), exact.boltzmann(couplings, temperature=1.5)) > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_number_of_jobs_changes_nothing(name):
    arguments = {"draws": 30, "chains": 6, "burn_in": 10, "seed": 5}
    dynamics = CASES[name][0]
    assert sample(dynamics, **arguments).identical(sample(dynamics, **arguments, n_jobs=3))


def test_trajectory_records_every_update():
    single = trajectory(Glauber(SYMMETRIC, 1.0), 40, chains=2, burn_in=3, seed=1)
    assert single["spins"].dims == ("chain", "time", "spin")
    assert single["time"].values[:2] == pytest.approx([1 / N_SPINS, 2 / N_SPINS])
    assert single.sizes["time"] == 200
    changed = (np.diff(single["spins"].values, axis=1) != 0).sum(axis=2)
    assert changed.max() == 1  # one spin at a time
    by_sweep = sample(Glauber(SYMMETRIC, 1.0), 40, chains=2, burn_in=3, seed=1, check=False)
    np.testing.assert_array_equal(single["spins"].values[:, N_SPINS - 1 :: N_SPINS], by_sweep["spins"].values)
    wide = trajectory(Glauber(SYMMETRIC, 1.0), 40, interval=0.6, chains=2, burn_in=3, seed=1)
    np.testing.assert_array_equal(single["spins"].values[:, 2::3], wide["spins"].values)
    together = trajectory(KineticIsing(ASYMMETRIC, 1.0, "parallel"), 10, seed=1)
    assert together.sizes["time"] == 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KineticIsing(SYMMETRIC, 1.0, "random"), "update must be 'sequential' or 'parallel'"),
        (lambda: KineticIsing(SYMMETRIC + np.eye(5), 1.0), "a spin does not act on itself"),
        (lambda: Glauber(ASYMMETRIC, 1.0), "must be symmetric"),
        (lambda: Glauber(SYMMETRIC, [1.0, 2.0]), r"must be a number or have shape \(5,\)"),
        (lambda: Glauber(SYMMETRIC, [1.0, 2.0, 0.0, 1.0, 1.0]), r"temperature\[2\] = 0"),
        (lambda: Metropolis(SYMMETRIC, -1.0), "temperature must be > 0"),
        (lambda: ColoredFieldGlauber(SYMMETRIC, 1.0, 0.0, 1.0), "persistence_time must be > 0"),
        (lambda: ColoredFieldGlauber(SYMMETRIC, 1.0, 1.0, -1.0), "active_temperature must be >= 0"),
        (lambda: TwoTemperatureGlauber(SYMMETRIC, 1.0, 2.0, 1.5), "share must be >= 0 and <= 1"),
        (lambda: trajectory(Glauber(SYMMETRIC, 1.0), 0.0), "duration must be > 0"),
        (lambda: trajectory(Glauber(SYMMETRIC, 1.0), 0.3, interval=0.6), "shorter than the interval"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
