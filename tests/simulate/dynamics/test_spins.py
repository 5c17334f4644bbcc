import numpy as np
import pytest
from scipy import sparse, stats

from simulate import PatternCouplings, PersistentGlauber, dreaming, hebbian, random_patterns, sample
from simulate.dynamics import spin_dynamics as sequential
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.local_fields import local_fields
from tests import exact


def plain_bits(state):
    """xoshiro128++ of one lane in Python integers: the twin of the compiled generator."""
    word = 2**32 - 1
    s0, s1, s2, s3 = state

    def rotate(value, by):
        return ((value << by) | (value >> (32 - by))) & word

    while True:
        yield (rotate((s0 + s3) & word, 7) + s0) & word
        shifted = (s1 << 9) & word
        s2, s3 = s2 ^ s0, s3 ^ s1
        s1, s0 = s1 ^ s2, s0 ^ s3
        s2, s3 = s2 ^ shifted, rotate(s3, 11)


def plain_threshold(bits):
    w = ((bits >> 1) + 0.5) / 2**31
    return (0.5 if bits % 2 == 0 else -0.5) * np.log((2 - w) / w)


def fresh_state(n_lanes, seed=0):
    return np.random.default_rng(seed).integers(1, 2**32, size=(4, n_lanes), dtype=np.uint32)


def test_generator_gives_the_published_sequence():
    # first outputs of xoshiro128++ from the state (1, 2, 3, 4), as in the reference implementation's test vectors
    generator = plain_bits((1, 2, 3, 4))
    assert [next(generator) for _ in range(5)] == [641, 1573767, 3222811527, 3517856514, 836907274]


@pytest.mark.parametrize("n_spins", [1, 7, 1000, 2**31 - 1])
def test_sites_equal_their_plain_twin(n_spins):
    state = fresh_state(5)
    twins = [plain_bits(state[:, lane].tolist()) for lane in range(5)]
    sites = np.empty(400, dtype=np.int32)
    kernels.fill_sites(state, n_spins, sites)
    expected = [(next(twin) << 32 | next(twin)) * n_spins >> 64 for _ in range(80) for twin in twins]
    np.testing.assert_array_equal(sites, expected)
    assert sites.min() >= 0
    assert sites.max() < n_spins


def test_sites_are_visited_equally_often():
    sites = np.empty(400_000, dtype=np.int32)
    kernels.fill_sites(fresh_state(16, seed=1), 37, sites)
    assert stats.chisquare(np.bincount(sites, minlength=37)).pvalue > 1e-3  # fails one seed in 1000
    # nor does a site say anything on the next one
    pairs = np.bincount(37 * sites[:-1:2] + sites[1::2], minlength=37**2)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_thresholds_equal_their_plain_twin():
    state = fresh_state(5)
    twins = [plain_bits(state[:, lane].tolist()) for lane in range(5)]
    out = np.empty((400, 5), dtype=np.float32)
    kernels.fill_logistic(state, np.float32(1), out[:150])
    kernels.fill_logistic(state, np.float32(1), out[150:])  # in two calls: the state must move on
    expected = [[plain_threshold(next(twin)) for twin in twins] for _ in range(400)]
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=2e-7)  # float32


def test_thresholds_have_the_logistic_density_into_the_tails():
    out = np.empty((20_000, 50), dtype=np.float32)
    kernels.fill_logistic(fresh_state(50, seed=1), np.float32(1), out)
    law = stats.logistic(scale=0.5)
    assert stats.kstest(out.ravel().astype(float), law.cdf).pvalue > 1e-3
    for level in (3.0, 5.0):  # expected counts 2473 and 45 on each side
        for tail in (out > level, out < -level):
            assert abs(tail.sum() - 1e6 * law.sf(level)) < 5 * np.sqrt(1e6 * law.sf(level))


def test_persistent_thresholds_equal_their_plain_twin():
    state, keep = fresh_state(3), np.uint32(0.6 * 2**32)
    twins = [plain_bits(state[:, lane].tolist()) for lane in range(3)]
    rng = np.random.default_rng(1)
    memory = rng.logistic(scale=0.5, size=(7, 3)).astype(np.float32)
    expected_memory = memory.astype(float)
    sites = rng.integers(0, 7, size=300).astype(np.int32)
    out = np.empty((300, 3), dtype=np.float32)
    kernels.fill_persistent(state, keep, np.float32(1), sites, memory, out)
    for k, site in enumerate(sites):
        for lane, twin in enumerate(twins):
            fresh = plain_threshold(next(twin))
            if next(twin) >= keep:
                expected_memory[site, lane] = fresh
            assert out[k, lane] == pytest.approx(expected_memory[site, lane], rel=1e-6, abs=2e-7)
    np.testing.assert_allclose(memory, expected_memory, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("law", ["logistic", "exponential", "mixture", "persistent", "coloured"])
def test_a_chain_by_itself_takes_its_numbers_from_the_lanes_in_turn(law):
    # five lanes for one chain give, update after update, what each of five chains gets from its own lane
    temperature, keep, share = np.float32(1.3), np.uint32(0.6 * 2**32), np.uint32(0.3 * 2**32)
    rng = np.random.default_rng(3)
    sites = rng.permutation(400).astype(np.int32)  # each site once, so that memory does not mix the lanes
    start = rng.normal(size=(400, 1)).astype(np.float32)

    def fill(state, sites, start, out):
        visits, last = start.copy(), np.zeros(400, dtype=np.int64)
        if law == "logistic":
            kernels.fill_logistic(state, temperature, out)
        elif law == "exponential":
            kernels.fill_exponential(state, temperature, out)
        elif law == "mixture":
            kernels.fill_mixture(state, share, np.float32(2), temperature, out)
        elif law == "persistent":
            kernels.fill_persistent(state, keep, temperature, sites, visits, out)
        else:
            # a persistence time so short that the field forgets whenever it is visited
            kernels.fill_coloured(state, temperature, 1e-6, 0.5, sites, 1, last, visits, out)

    alone = np.empty((400, 1), dtype=np.float32)
    fill(fresh_state(5), sites, start, alone)
    together = np.empty((80, 5), dtype=np.float32)
    every_fifth = np.repeat(start[sites].reshape(80, 5), 5, axis=0)  # the memory of update k under site 5 k
    memory = np.ascontiguousarray(every_fifth)
    fill(fresh_state(5), 5 * np.arange(80, dtype=np.int32), memory, together)
    np.testing.assert_array_equal(alone.reshape(80, 5), together)


def plain_advance(couplings, external, spins, sites, thresholds, metropolis):
    """States (n_updates, n_chains, n_spins) after each update, the field of each computed anew in double precision."""
    spins = spins.astype(float)
    states = []
    for site, noise in zip(sites, thresholds, strict=True):
        field = spins @ couplings[site] + external[site]
        own = -spins[:, site] if metropolis else 1.0
        spins[:, site] = np.where(field + own * noise >= 0, 1, -1)
        states.append(spins.copy())
    return np.array(states)


@pytest.mark.parametrize("every", [1, 7, 42])  # a record ends a block of updates: blocks of one, cut ones, whole ones
@pytest.mark.parametrize("n_chains", [1, 21, 70])
@pytest.mark.parametrize("kind", ["dense", "dense, few chains", "patterns", "patterns, few chains", "sparse"])
@pytest.mark.parametrize("n_patterns", [3, 8])
@pytest.mark.parametrize("metropolis", [False, True])
def test_every_kernel_follows_its_plain_twin_state_by_state(kind, n_chains, n_patterns, metropolis, every):
    rng = np.random.default_rng(2)
    patterns = random_patterns(n_patterns, 30, seed=1)
    low_rank = PatternCouplings(patterns, 0.4)
    matrix = low_rank.toarray()
    if kind == "sparse":
        matrix[abs(matrix) < 0.1] = 0
    couplings = {"dense": matrix, "patterns": low_rank, "sparse": sparse.csr_array(matrix)}[kind.split(",")[0]]
    external = rng.normal(size=30)
    spins = rng.choice([-1, 1], size=(n_chains, 30)).astype(np.int8)
    sites = rng.integers(0, 30, size=630).astype(np.int32)
    thresholds = rng.logistic(scale=0.5, size=(630, n_chains)).astype(np.float32)
    fields = local_fields(couplings, external, spins, few="few" in kind)
    burn_in = 126
    record = np.empty((n_chains, (630 - burn_in) // every, 30), dtype=np.int8)
    for first, end in [(0, 100), (100, 300), (300, 630)]:  # the second part begins in burn-in and ends between records
        fields.advance(sites[first:end], thresholds[first:end], metropolis, first - burn_in, every, record)
    expected = plain_advance(matrix, external, spins, sites, thresholds, metropolis)[burn_in:]
    np.testing.assert_array_equal(record, expected[every - 1 :: every].transpose(1, 0, 2))
    np.testing.assert_array_equal(fields.states(), expected[-1])


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize(("kind", "kept"), [("dense", "_fields"), ("patterns", "_overlaps"), ("sparse", "_fields")])
def test_rounding_stays_small_until_fields_are_computed_afresh(kind, kept, few):
    patterns, rng = random_patterns(20, 200, seed=5), np.random.default_rng(6)
    couplings = {"dense": hebbian(patterns), "patterns": PatternCouplings(patterns)}.get(kind)
    couplings = sparse.csr_array(hebbian(patterns)) if couplings is None else couplings
    n_updates, n_chains = 200 * sequential._SWEEPS_BETWEEN_REFRESHES, 3
    sites = rng.integers(0, 200, size=n_updates).astype(np.int32)
    thresholds = rng.logistic(scale=0.5, size=(n_updates, n_chains)).astype(np.float32)
    fields = local_fields(couplings, None, rng.choice([-1, 1], size=(n_chains, 200)).astype(np.int8), few=few)
    fields.advance(sites, thresholds, False, 0, n_updates, np.empty((n_chains, 1, 200), dtype=np.int8))
    drifted = getattr(fields, kept).copy()
    fields.refresh()
    # root mean square 7e-6 of the fields of 1000 spins; sums as large as an overlap are rounded in proportion
    fresh = getattr(fields, kept)
    assert 0 < np.abs(drifted - fresh).max() < 3e-5 * max(1.0, np.abs(fresh).max())


def chi_square_p_value(spins, probability):
    """p-value of sampled states against their probabilities, states expected fewer than five times taken together."""
    expected = probability * len(spins)
    observed = np.bincount(exact.state_index(spins), minlength=len(probability))
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        observed = np.append(observed[~rare], observed[rare].sum())
    return stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue


def glauber_states(temperature, couplings, seed):
    dynamics = PersistentGlauber(couplings=couplings, temperature=temperature, persistence=0.0)
    # every 25 sweeps at T = 1.6: the slowest mode forgets in about 4 sweeps, so draws are independent to exp(-6)
    samples = sample(dynamics, draws=8000, chains=16, burn_in=200, thin=25, seed=seed)
    return samples["spins"].values.reshape(-1, couplings.shape[0])


@pytest.mark.parametrize("seed", range(5))
def test_without_persistence_states_have_boltzmann_probabilities(seed):
    """Chi-square over all 4096 states of 12 spins; a right sampler fails one seed in 1000."""
    couplings = hebbian(random_patterns(3, 12, seed=seed))
    states = glauber_states(1.6, couplings, seed)
    assert chi_square_p_value(states, exact.boltzmann(couplings, temperature=1.6)) > 1e-3


def test_that_test_can_fail():
    couplings = hebbian(random_patterns(3, 12, seed=0))
    states = glauber_states(1.6, couplings, 0)
    assert chi_square_p_value(states, exact.boltzmann(couplings, temperature=1.76)) < 1e-6
    assert chi_square_p_value(states, exact.boltzmann(-couplings, temperature=1.6)) < 1e-6


def test_fields_and_low_rank_couplings_against_enumeration():
    patterns = random_patterns(3, 8, seed=4)
    fields = np.linspace(-0.8, 0.8, 8)
    probability = exact.boltzmann(dreaming(patterns, 0.5), fields, temperature=1.5)
    for couplings in (PatternCouplings(patterns, 0.5), sparse.csr_array(dreaming(patterns, 0.5))):
        dynamics = PersistentGlauber(couplings=couplings, temperature=1.5, fields=fields)
        states = sample(dynamics, draws=4000, chains=8, burn_in=100, thin=20, seed=1)["spins"].values.reshape(-1, 8)
        assert chi_square_p_value(states, probability) > 1e-3


def test_a_free_persistent_spin_has_the_magnetisation_of_its_field_and_forgets_at_the_stated_rate():
    # without couplings s_i = sign(H_i + T z_i) at any persistence, and s at two visits agrees through a kept threshold
    dynamics = PersistentGlauber(couplings=np.zeros((50, 50)), temperature=2.0, persistence=0.8, fields=1.0)
    spins = sample(dynamics, draws=4000, chains=4, burn_in=50, thin=1, seed=3)["spins"].values.astype(float)
    magnetisation = np.tanh(1.0 / 2.0)
    # correlation in time exp(-0.2 lag) (exactly (1 - 0.2 / N)^(lag N)): integrated time 10 sweeps
    error = np.sqrt((1 - magnetisation**2) * 10 / spins.size)
    assert abs(spins.mean() - magnetisation) < 5 * error
    deviations = spins - magnetisation
    for lag in (1, 5):
        correlation = (deviations[:, lag:] * deviations[:, :-lag]).mean() / (1 - magnetisation**2)
        assert correlation == pytest.approx((1 - 0.2 / 50) ** (50 * lag), abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be > 0, got 0"),
        ({"temperature": -1.0}, "temperature must be > 0, got -1"),
        ({"temperature": np.nan}, "temperature must be a finite number"),
        ({"persistence": 1.0}, "persistence must be >= 0 and < 1, got 1"),
        ({"persistence": -0.1}, "persistence must be >= 0 and < 1"),
        ({"fields": [1.0, 2.0]}, r"fields must have shape \(3,\)"),
        ({"fields": [0.0, np.nan, 0.0]}, r"fields\[1\] = nan"),
        ({"couplings": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, "must be symmetric"),
        ({"couplings": np.full((3, 3), np.nan)}, r"couplings\[0, 0\] = nan"),
        ({"couplings": "patterns"}, "matrix of numbers"),
        ({"couplings": sparse.csr_array([[0, 1.0], [0, 0]])}, r"must be symmetric: couplings\[0, 1\] = 1"),
        ({"couplings": sparse.csr_array([[0, np.inf], [np.inf, 0]])}, r"couplings\[0, 1\] = inf"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PersistentGlauber(**{"couplings": np.zeros((3, 3)), "temperature": 1.0, **arguments})
