import numpy as np
import pytest
from scipy import sparse, stats

from simulate import BlockGibbs, Glauber, PatternCouplings, dreaming, hebbian, random_patterns, sample, theory
from simulate.couplings import lowest_rate
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.block_gibbs import LayerChains, layer_factor, sweep_layers
from tests import exact
from tests.simulate.dynamics.test_spins import chi_square_p_value

RATES = [-0.3, 0.0, 0.5, 5.0]


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n_patterns", [3, 9, 14])  # fewer than spins, nearly as many, more
def test_the_factor_gives_back_the_couplings(n_patterns, rate):
    patterns = random_patterns(n_patterns, 10, seed=0)
    rate = max(rate, 0.95 * lowest_rate(patterns))
    couplings, low_rank = dreaming(patterns, rate), PatternCouplings(patterns, rate)
    for given in (couplings, sparse.csr_array(couplings), low_rank):
        factor = layer_factor(given)
        assert len(factor) <= (n_patterns if given is low_rank and n_patterns < 10 else 9)  # none for the lowest mode
        np.testing.assert_allclose(off_diagonal(factor.T @ factor), couplings, atol=1e-12)


def test_any_couplings_have_a_factor():
    couplings = exact.random_couplings(7, 1.0)
    for given in (couplings, -couplings, np.zeros((7, 7))):
        factor = layer_factor(given)
        np.testing.assert_allclose(off_diagonal(factor.T @ factor), given, atol=1e-12)
    assert layer_factor(np.zeros((7, 7))).shape == (0, 7)


def plain_sweep(spins, factor, external, normals, thresholds):
    """One chain, one unit after the other, in double precision."""
    n_hidden, n_spins = factor.shape
    hidden = [sum(factor[mu, i] * spins[i] for i in range(n_spins)) + normals[mu] for mu in range(n_hidden)]
    fields = [sum(factor[mu, i] * hidden[mu] for mu in range(n_hidden)) + external[i] for i in range(n_spins)]
    return np.array([1.0 if fields[i] + thresholds[i] >= 0 else -1.0 for i in range(n_spins)])


@pytest.mark.parametrize("n_chains", [1, 5, 40])
def test_sweeps_follow_their_plain_twin_state_by_state(n_chains):
    rng = np.random.default_rng(1)
    factor = layer_factor(PatternCouplings(random_patterns(4, 25, seed=2), 0.7))
    external = rng.normal(size=25)
    spins = rng.choice([-1.0, 1.0], size=(25, n_chains))
    fast = spins.astype(np.float32)
    for _ in range(30):
        normals, thresholds = rng.normal(size=(4, n_chains)), rng.logistic(scale=0.5, size=(25, n_chains))
        spins = np.stack(
            [plain_sweep(spins[:, k], factor, external, normals[:, k], thresholds[:, k]) for k in range(n_chains)], 1
        )
        sweep_layers(fast, *(x.astype(np.float32) for x in (factor, external, normals, thresholds)))
        np.testing.assert_array_equal(fast, spins)  # in single precision no field of these came within 1e-6 of zero


def test_random_numbers_of_chains_are_independent():
    # a hidden unit that the spins do not feel: they are free
    seeds = np.random.SeedSequence(3).spawn(6)
    chains = LayerChains(np.ones((6, 8)), seeds)
    states = []
    nothing = np.zeros((1, 8), dtype=np.float32)
    chains.advance(nothing, np.full(8, 0.4, dtype=np.float32), 4000, lambda spins: states.append(spins.copy()))
    spins = np.array(states)
    error = np.sqrt((1 - np.tanh(0.4) ** 2) / spins.size)
    assert abs(spins.mean() - np.tanh(0.4)) < 4 * error
    flat = (spins - spins.mean()).reshape(4000, -1)
    # 48 columns: 1128 correlations of standard deviation 1 / sqrt(4000); the largest exceeds 5 of them once in 1600
    assert np.abs(off_diagonal(np.corrcoef(flat.T))).max() < 5 / np.sqrt(4000)
    assert np.abs((flat[1:] * flat[:-1]).mean(axis=0)).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("rate", RATES)
def test_states_have_boltzmann_probabilities(rate):
    """Chi-square over all 1024 states of 10 spins in fields; a right sampler fails once in 1000."""
    patterns, fields = random_patterns(3, 10, seed=4), np.linspace(-0.5, 0.7, 10)
    rate = max(rate, 0.9 * lowest_rate(patterns))
    probability = exact.boltzmann(dreaming(patterns, rate), fields, temperature=1.5)
    dynamics = BlockGibbs(PatternCouplings(patterns, rate), 1.5, fields)
    # every 25 sweeps, where nothing is remembered to more than 1 %
    states = sample(dynamics, draws=300, chains=160, burn_in=100, thin=25, seed=5)["spins"].values.reshape(-1, 10)
    assert chi_square_p_value(states, probability) > 1e-3
    other = exact.boltzmann(dreaming(patterns, rate), fields, temperature=1.65)
    assert chi_square_p_value(states, other) < 1e-6


@pytest.mark.parametrize("kind", ["dense", "sparse", "more patterns than spins"])
def test_other_couplings_too(kind):
    matrix = exact.random_couplings(8, 0.8, seed=6)
    given = {"dense": matrix, "sparse": sparse.csr_array(matrix)}.get(kind)
    if given is None:
        given = PatternCouplings(random_patterns(11, 8, seed=7), 0.3)
        matrix = given.toarray()
    states = sample(BlockGibbs(given, 1.0), draws=300, chains=160, burn_in=100, thin=25, seed=8)["spins"].values
    assert chi_square_p_value(states.reshape(-1, 8), exact.boltzmann(matrix)) > 1e-3


@pytest.mark.slow
def test_it_agrees_with_single_spin_updates_in_a_system_too_large_to_enumerate():
    patterns = random_patterns(10, 100, seed=9)
    couplings = PatternCouplings(patterns, 0.5)
    found = []
    for dynamics in (BlockGibbs(couplings, 1.6), Glauber(couplings, 1.6)):
        states = sample(dynamics, draws=400, chains=64, burn_in=200, thin=5, seed=10)["spins"].values
        chains = dynamics.energies(states.reshape(-1, 100).astype(float)).reshape(64, 400).mean(axis=1)
        found.append((chains.mean(), chains.std(ddof=1) / 8))
    (here, here_error), (there, there_error) = found
    assert abs(here - there) < 4 * np.hypot(here_error, there_error)
    assert here_error < 0.02 * abs(here)


def test_number_of_jobs_changes_nothing_and_a_longer_run_begins_with_the_shorter():
    dynamics = BlockGibbs(PatternCouplings(random_patterns(3, 20, seed=0)), 1.2)
    arguments = {"chains": 6, "burn_in": 10, "seed": 5, "thin": 3, "check": False}
    short, long = sample(dynamics, 30, **arguments), sample(dynamics, 500, **arguments)
    assert short.identical(sample(dynamics, 30, **arguments, n_jobs=3))
    np.testing.assert_array_equal(short["spins"].values, long["spins"].values[:, :30])
    started = sample(dynamics, 1, **arguments | {"burn_in": 0, "thin": 1}, initial=np.ones(20))
    assert started.sizes == {"chain": 6, "draw": 1, "spin": 20}
    assert started.attrs["dynamics"] == "BlockGibbs"


def test_it_is_in_equilibrium_for_the_theory_too():
    couplings = hebbian(random_patterns(3, 20, seed=0))
    dynamics = BlockGibbs(couplings, 2.0)
    np.testing.assert_allclose(theory.effective_couplings(dynamics), couplings / 2.0, atol=1e-12)
    assert theory.dreaming_rate(dynamics) == 0.0


def test_hidden_normals_are_normal():
    state = np.random.default_rng(0).integers(1, 2**32, size=(4, 3), dtype=np.uint32)
    out = np.empty((7, 5, 3), dtype=np.float32)
    again = np.empty((35, 3), dtype=np.float32)
    kernels.fill_normals(state.copy(), out.reshape(-1))
    kernels.fill_normals(state.copy(), again.reshape(-1))
    np.testing.assert_array_equal(out.reshape(35, 3), again)
    one = np.empty((35, 1), dtype=np.float32)
    kernels.fill_normals(np.ascontiguousarray(state[:, 1:2]), one.reshape(-1))
    np.testing.assert_array_equal(again[:, 1], one[:, 0])  # a chain's numbers do not depend on its neighbours
    many = np.empty(30_000, dtype=np.float32)
    kernels.fill_normals(state, many)
    assert stats.kstest(many.astype(float), "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be > 0, got 0"),
        ({"fields": [1.0, 2.0]}, r"fields must have shape \(3,\)"),
        ({"couplings": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, "must be symmetric"),
        ({"couplings": np.eye(3)}, r"couplings\[0, 0\] = 1: a spin does not act on itself"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockGibbs(**{"couplings": np.zeros((3, 3)), "temperature": 1.0, **arguments})
