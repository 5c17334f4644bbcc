import numpy as np
import pytest
from scipy import sparse, stats

from simulate import PatternCouplings, PersistentGlauber, dreaming, hebbian, random_patterns, sample
from simulate.dynamics import spin_dynamics as sequential
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.local_fields import local_fields, whole_number_step
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


def fresh_streams(n_chains, seed=0):
    return np.random.default_rng(seed).integers(1, 2**32, size=(n_chains, 4, 16), dtype=np.uint32)


def plain_streams(state):
    """A function that gives the next row of sixteen words of a chain."""
    lanes = [[plain_bits(chain[:, lane].tolist()) for lane in range(16)] for chain in state]
    return lambda chain: [next(lane) for lane in lanes[chain]]


def plain_words(state, n_updates, n_words):
    """Words (n_words, n_chains, n_updates): row after row of sixteen updates, and in each word after word."""
    row = plain_streams(state)
    words = [[[row(chain) for _ in range(n_words)] for _ in range(-(-n_updates // 16))] for chain in range(len(state))]
    return np.array(words).transpose(2, 0, 1, 3).reshape(n_words, len(state), -1)[:, :, :n_updates]


def test_generator_gives_the_published_sequence():
    # first outputs of xoshiro128++ from the state (1, 2, 3, 4), as in the reference implementation's test vectors
    generator = plain_bits((1, 2, 3, 4))
    assert [next(generator) for _ in range(5)] == [641, 1573767, 3222811527, 3517856514, 836907274]


def test_streams_of_chains_differ_and_are_nowhere_zero():
    sites, thresholds = sequential.streams(np.random.SeedSequence(0).spawn(50))
    assert sites.shape == thresholds.shape == (50, 4, 16)
    states = np.concatenate([sites, thresholds]).transpose(0, 2, 1).reshape(-1, 4)
    assert len(np.unique(states, axis=0)) == 2 * 50 * 16
    assert states.any(axis=1).all()


@pytest.mark.parametrize("n_spins", [1, 7, 1000, 2**31 - 1])
def test_sites_equal_their_plain_twin(n_spins):
    state = fresh_streams(3)
    upper, lower = plain_words(state, 560, 2)
    sites = np.empty((3, 560), dtype=np.int32)
    kernels.fill_sites(state, n_spins, sites)
    expected = [
        [(int(a) << 32 | int(b)) * n_spins >> 64 for a, b in zip(*pair, strict=True)]
        for pair in zip(upper, lower, strict=True)
    ]
    np.testing.assert_array_equal(sites, expected)
    assert sites.min() >= 0
    assert sites.max() < n_spins


def test_sites_are_visited_equally_often():
    sites = np.empty((1, 400_000), dtype=np.int32)
    kernels.fill_sites(fresh_streams(1, seed=1), 37, sites)
    assert stats.chisquare(np.bincount(sites[0], minlength=37)).pvalue > 1e-3  # fails one seed in 1000
    # nor does a site say anything on the next one
    pairs = np.bincount(37 * sites[0, :-1:2] + sites[0, 1::2], minlength=37**2)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_sites_of_one_chain_say_nothing_on_those_of_another():
    order, _ = sequential.streams(np.random.SeedSequence(3).spawn(2))
    sites = np.empty((2, 400_000), dtype=np.int32)
    kernels.fill_sites(order, 37, sites)
    pairs = np.bincount(37 * sites[0] + sites[1], minlength=37**2)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_thresholds_equal_their_plain_twin():
    state = fresh_streams(3)
    (words,) = plain_words(state, 800, 1)
    out = np.empty((3, 800), dtype=np.float32)
    parts = [np.empty((3, 160), dtype=np.float32), np.empty((3, 640), dtype=np.float32)]
    for part in parts:  # in two calls: the state must move on
        kernels.fill_logistic(state, np.float32(1), part)
    np.concatenate(parts, axis=1, out=out)
    np.testing.assert_allclose(out, np.vectorize(plain_threshold)(words), rtol=1e-6, atol=2e-7)  # float32


def test_scaled_thresholds_equal_their_plain_twin():
    scales, rng = np.array([1.0, 2.5, 0.25], dtype=np.float32), np.random.default_rng(0)
    sites = rng.integers(0, 3, size=(2, 100)).astype(np.int32)
    out = np.empty((2, 100), dtype=np.float32)
    (words,) = plain_words(fresh_streams(2), 100, 1)
    kernels.fill_logistic_at(fresh_streams(2), scales, sites, out)
    np.testing.assert_allclose(out, np.vectorize(plain_threshold)(words) * scales[sites], rtol=1e-6, atol=5e-7)


def test_metropolis_and_mixed_thresholds_equal_their_plain_twins():
    out, share = np.empty((2, 600), dtype=np.float32), np.uint32(0.3 * 2**32)
    (words,) = plain_words(fresh_streams(2), 600, 1)
    kernels.fill_exponential(fresh_streams(2), np.float32(1.3), out)
    np.testing.assert_allclose(out, -0.65 * np.log(((words >> 1) + 0.5) / 2**31), rtol=1e-6, atol=2e-7)
    words, luck = plain_words(fresh_streams(2), 600, 2)
    kernels.fill_mixture(fresh_streams(2), share, np.float32(2), np.float32(1.3), out)
    expected = np.where(luck < share, 2.0, 1.3) * np.vectorize(plain_threshold)(words)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=5e-7)


def test_thresholds_have_the_logistic_density_into_the_tails():
    out = np.empty((50, 20_000), dtype=np.float32)
    kernels.fill_logistic(fresh_streams(50, seed=1), np.float32(1), out)
    law = stats.logistic(scale=0.5)
    assert stats.kstest(out.ravel().astype(float), law.cdf).pvalue > 1e-3
    for level in (3.0, 5.0):  # expected counts 2473 and 45 on each side
        for tail in (out > level, out < -level):
            assert abs(tail.sum() - 1e6 * law.sf(level)) < 5 * np.sqrt(1e6 * law.sf(level))


def test_persistent_thresholds_equal_their_plain_twin():
    state, keep = fresh_streams(3), np.uint32(0.6 * 2**32)
    rng = np.random.default_rng(1)
    memory = rng.logistic(scale=0.5, size=(3, 7)).astype(np.float32)
    expected_memory = memory.astype(float)
    sites = rng.integers(0, 7, size=(3, 700)).astype(np.int32)
    out = np.empty((3, 700), dtype=np.float32)
    words, luck = plain_words(state, 700, 2)
    kernels.fill_persistent(state, keep, np.float32(1.5), sites, memory, out)
    expected = np.empty((3, 700))
    for chain, k in np.ndindex(3, 700):
        if luck[chain, k] >= keep:
            expected_memory[chain, sites[chain, k]] = plain_threshold(words[chain, k])
        expected[chain, k] = 1.5 * expected_memory[chain, sites[chain, k]]
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=4e-7)
    np.testing.assert_allclose(memory, expected_memory, rtol=1e-6, atol=2e-7)


def plain_advance(couplings, external, spins, sites, thresholds, metropolis):
    """States (n_chains, n_updates, n_spins) after each update, the field of each computed anew in double precision."""
    spins = spins.astype(float)
    states = np.empty((*sites.shape, spins.shape[1]))
    for chain, k in np.ndindex(sites.shape):
        site, state = sites[chain, k], spins[chain]
        own = -state[site] if metropolis else 1.0
        field = state @ couplings[site] + external[site]
        state[site] = 1 if field + own * thresholds[chain, k] >= 0 else -1
        states[chain, k] = state
    return states


@pytest.mark.parametrize("every", [1, 7, 42])
@pytest.mark.parametrize("n_chains", [1, 6, 13])  # one, four and two, eight, four and one together
@pytest.mark.parametrize("kind", ["dense", "patterns", "sparse"])
@pytest.mark.parametrize("n_patterns", [3, 20])
@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_every_kernel_follows_its_plain_twin_state_by_state(kind, n_chains, n_patterns, metropolis, every, unit):
    rng = np.random.default_rng(2)
    patterns = random_patterns(n_patterns, 30, seed=1)
    low_rank = PatternCouplings(patterns, 0.4)
    matrix = low_rank.toarray()
    if kind == "sparse":
        matrix[abs(matrix) < 0.1] = 0
    couplings = {"dense": matrix, "patterns": low_rank, "sparse": sparse.csr_array(matrix)}[kind]
    external = rng.normal(size=30)
    spins = rng.choice([-1, 1], size=(n_chains, 30)).astype(np.int8)
    sites = rng.integers(0, 30, size=(n_chains, 630)).astype(np.int32)
    thresholds = rng.logistic(scale=0.5, size=(n_chains, 630)).astype(np.float32)
    fields = local_fields(couplings, external, unit)
    fields.start(spins)
    burn_in = 126
    record = np.empty((n_chains, (630 - burn_in) // every, 30), dtype=np.int8)
    for first, end in [(0, 100), (100, 300), (300, 630)]:  # the second part begins in burn-in and ends between records
        part = np.ascontiguousarray(sites[:, first:end]), np.ascontiguousarray(thresholds[:, first:end]) / unit
        fields.advance(part[0], part[1].astype(np.float32), metropolis, first - burn_in, every, record)
    expected = plain_advance(matrix, external, spins, sites, thresholds, metropolis)[:, burn_in:]
    np.testing.assert_array_equal(record, expected[:, every - 1 :: every])
    np.testing.assert_array_equal(fields.states(), expected[:, -1])


@pytest.mark.parametrize("n_spins", [127, 200])  # a matrix adds nothing where a spin stays, or takes a branch
def test_small_and_large_matrices_follow_the_plain_twin(n_spins):
    rng, couplings = np.random.default_rng(7), exact.random_couplings(n_spins, 2.0, seed=7)
    couplings += np.triu(couplings, 1)  # asymmetric: who acts on whom must not be mixed up
    spins = rng.choice([-1, 1], size=(5, n_spins)).astype(np.int8)
    sites = rng.integers(0, n_spins, size=(5, 400)).astype(np.int32)
    thresholds = rng.logistic(scale=0.5, size=(5, 400)).astype(np.float32)
    fields = local_fields(couplings, None)
    fields.start(spins)
    record = np.empty((5, 400, n_spins), dtype=np.int8)
    fields.advance(sites, thresholds, False, 0, 1, record)
    expected = plain_advance(couplings, np.zeros(n_spins), spins, sites, thresholds, False)
    np.testing.assert_array_equal(record, expected)


@pytest.mark.parametrize(("kind", "kept"), [("dense", "_fields"), ("patterns", "_overlaps"), ("sparse", "_fields")])
def test_rounding_stays_small_until_fields_are_computed_afresh(kind, kept):
    patterns, rng = random_patterns(20, 200, seed=5), np.random.default_rng(6)
    couplings = {"dense": PatternCouplings(patterns, 0.3).toarray(), "patterns": PatternCouplings(patterns, 0.3)}.get(
        kind
    )
    couplings = sparse.csr_array(hebbian(patterns)) if couplings is None else couplings
    n_updates, n_chains = 200 * sequential._SWEEPS_BETWEEN_REFRESHES, 3
    sites = rng.integers(0, 200, size=(n_chains, n_updates)).astype(np.int32)
    thresholds = rng.logistic(scale=0.5, size=(n_chains, n_updates)).astype(np.float32)
    fields = local_fields(couplings, None)
    fields.start(rng.choice([-1, 1], size=(n_chains, 200)).astype(np.int8))
    fields.advance(sites, thresholds, False, 0, n_updates, np.empty((n_chains, 1, 200), dtype=np.int8))
    drifted = getattr(fields, kept)[:n_chains].copy()
    fields.refresh()
    # root mean square 7e-6 of the fields of 1000 spins; sums as large as an overlap are rounded in proportion
    fresh = getattr(fields, kept)[:n_chains]
    assert 0 < np.abs(drifted - fresh).max() < 3e-5 * max(1.0, np.abs(fresh).max())


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize("n_patterns", [3, 8])  # odd and even multiples of 1/N
@pytest.mark.parametrize("n_spins", [8, 100, 256])  # eight recur within four updates
@pytest.mark.parametrize("with_fields", [False, True])
def test_matrices_of_whole_numbers_are_exact(n_spins, n_patterns, with_fields, metropolis):
    rng, patterns = np.random.default_rng(n_spins), random_patterns(n_patterns, n_spins, seed=n_patterns)
    external = rng.integers(-3, 4, size=n_spins) * 2.0 * with_fields
    spins = rng.choice([-1, 1], size=(11, n_spins)).astype(np.int8)
    sites = rng.integers(0, n_spins, size=(11, 410)).astype(np.int32)
    thresholds = rng.logistic(scale=n_patterns, size=(11, 410))
    if n_spins != 100:
        thresholds = np.round(thresholds)  # ties: division by a power of two leaves them tied
    every = 41  # ten visits of four spins and one of one
    record = np.empty((11, 10, n_spins), dtype=np.int8)
    chains = local_fields(hebbian(patterns), external / n_spins, 0.25)
    assert chains._incoming.dtype == np.int8
    chains.start(spins)
    chains.advance(sites, (4 * thresholds / n_spins).astype(np.float32), metropolis, 0, every, record)
    whole = np.rint(n_spins * hebbian(patterns))
    expected = plain_advance(whole, external, spins, sites, thresholds, metropolis)
    np.testing.assert_array_equal(record, expected[:, every - 1 :: every])
    final = expected[:, -1] @ whole + external
    np.testing.assert_array_equal(chains._fields[:, :n_spins] * (2 - n_patterns % 2), final)


def test_which_matrices_are_kept_as_whole_numbers():
    signs = np.triu(np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 40)), 1)
    signs += signs.T
    none = np.zeros(40)
    ladder = np.zeros((40, 40))  # smallest 2, others multiples of 1
    ladder[0, 1], ladder[1, 2] = 2.0, 3.0
    ladder += ladder.T
    for couplings, external, step in [
        (signs, none, 1.0),
        (signs / np.sqrt(40), none, 1 / np.sqrt(40)),
        (0.1 * signs + 0.2 * signs + 0.3 * (signs > 0) * (signs.T > 0), none, 0.3),  # sums are rounded
        (signs, np.full(40, 0.5), 0.5),
        (signs, np.full(40, 0.3), None),
        (signs, np.ones(40), 1.0),
        (signs, np.full(40, 40000.0), None),  # beyond 16 bits
        (1e-40 * signs, none, None),  # beyond the range of single precision beside thresholds of about 1
        (ladder, none, 1.0),
        (64 * ladder, none, 64.0),
        (ladder + 128 * (ladder == 3), none, None),  # beyond 8 bits
        (exact.random_couplings(40, 1.0, seed=0), none, None),
        (np.zeros((40, 40)), none, None),
        (hebbian(random_patterns(7, 40, seed=0)), none, 1 / 40),
        (hebbian(random_patterns(8, 40, seed=0)), none, 2 / 40),
        (PatternCouplings(random_patterns(8, 40, seed=0), 0.3).toarray(), none, None),
    ]:
        found = whole_number_step(couplings, external)
        assert (found is None) == (step is None)
        assert step is None or found == pytest.approx(step, rel=1e-12)


def test_patterns_and_their_matrix_give_the_same_states():
    """Both are exact and draw the same sites and thresholds."""
    patterns = random_patterns(10, 200, seed=0)
    chains = [
        sample(PersistentGlauber(couplings, 0.7, 0.5), draws=5, chains=9, burn_in=10, thin=3, seed=1, check=False)
        for couplings in (PatternCouplings(patterns), hebbian(patterns))
    ]
    np.testing.assert_array_equal(chains[0]["spins"], chains[1]["spins"])


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
