"""Blocks of updates from patterns as bits against their plain twin, in whole numbers: equal in every state."""

import numpy as np
import pytest
from numba import config, njit
from numba.core.errors import TypingError

from simulate import Glauber, PatternCouplings, random_patterns, sample
from simulate.block_intrinsics import BLOCK, MOST_PATTERNS, visit_four, visit_one, visit_two, wide_vectors
from simulate.dynamics.local_fields import local_fields, pattern_words


@njit
def visits(sites, thresholds, count, words, overlaps, spins, scale, n_patterns, together):
    for at in range(0, sites.shape[1], count):
        part = min(count, sites.shape[1] - at)
        if together == 4:
            visit_four(sites, thresholds, at, part, 1, words, overlaps, spins, scale, n_patterns)
        elif together == 2:
            for chain in (1, 3):
                visit_two(sites, thresholds, at, part, chain, words, overlaps, spins, scale, n_patterns)
        else:
            for chain in range(1, 5):
                visit_one(sites, thresholds, at, part, chain, words, overlaps, spins, scale, n_patterns)


def plain_visits(sites, thresholds, patterns, spins, scale):
    """Spins and overlaps after one update after the other of chains 1 to 4, each field a sum over all patterns."""
    patterns, spins = patterns.astype(int), spins.astype(int)
    for chain in range(1, 5):
        for site, threshold in zip(sites[chain], thresholds[chain], strict=True):
            field = patterns[:, site] @ (patterns @ spins[chain]) - len(patterns) * spins[chain, site]
            spins[chain, site] = 1 if field + float(scale * threshold) >= 0 else -1
    return spins, spins @ patterns.T


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 11, BLOCK])
@pytest.mark.parametrize(("n_patterns", "n_spins"), [(1, 5), (10, 40), (33, 40), (64, 70), (50, 3)])
def test_visits_of_one_two_and_four_chains(n_patterns, n_spins, count):
    """Three and five spins occur several times in a block; one pattern leaves many spins with equal patterns."""
    rng = np.random.default_rng(n_patterns)
    patterns = rng.choice([-1, 1], size=(n_patterns, n_spins))
    start = rng.choice([-1, 1], size=(6, n_spins)).astype(np.int8)
    sites = rng.integers(0, n_spins, size=(6, 300)).astype(np.int32)
    thresholds = rng.logistic(scale=2.0 * np.sqrt(n_patterns), size=(6, 300)).astype(np.float32)
    thresholds[:, ::3] = np.round(thresholds[:, ::3])  # ties, which turn spins up
    thresholds[:, 100], thresholds[:, 200], thresholds[:, 201] = np.inf, -np.inf, 1e30
    scale = np.float32(1.5)
    begin = np.zeros((6, MOST_PATTERNS), dtype=np.int16)
    begin[:, :n_patterns] = start.astype(int) @ patterns.T
    expected_spins, expected_overlaps = plain_visits(sites, thresholds, patterns, start, scale)
    assert (expected_spins != start).any()
    for together in (1, 2, 4):
        overlaps, spins = begin.copy(), start.copy()
        visits(sites, thresholds, count, pattern_words(patterns), overlaps, spins, scale, n_patterns, together)
        np.testing.assert_array_equal(spins[1:5], expected_spins[1:5])
        np.testing.assert_array_equal(overlaps[1:5, :n_patterns], expected_overlaps[1:5])
        np.testing.assert_array_equal(overlaps[:, n_patterns:], 0)
        np.testing.assert_array_equal(spins[[0, 5]], start[[0, 5]])  # the other chains
        np.testing.assert_array_equal(overlaps[[0, 5]], begin[[0, 5]])


@pytest.mark.parametrize("every", [1, 8, 45, 300])  # single updates are recorded one after the other
@pytest.mark.parametrize("n_chains", [1, 3, 7])
@pytest.mark.parametrize("n_patterns", [5, 20, 64])
@pytest.mark.parametrize("wide", [False, True])
def test_states_of_hebbian_patterns_equal_those_of_whole_numbers(n_patterns, n_chains, every, wide, monkeypatch):
    """With and without blocks, which are used for several chains where the processor has wide vectors."""
    monkeypatch.setattr("simulate.dynamics.local_fields.wide_vectors", lambda: wide)
    n_spins, burn_in, unit = 70, 90, 0.5
    rng, patterns = np.random.default_rng(3), random_patterns(n_patterns, n_spins, seed=1)
    spins = rng.choice([-1, 1], size=(n_chains, n_spins)).astype(np.int8)
    sites = rng.integers(0, n_spins, size=(n_chains, 690)).astype(np.int32)
    thresholds = rng.logistic(scale=1.0, size=(n_chains, 690)).astype(np.float32)
    fields = local_fields(PatternCouplings(patterns), None, unit)
    fields.start(spins)
    record = np.empty((n_chains, (690 - burn_in) // every, n_spins), dtype=np.int8)
    for first, end in [(0, 100), (100, 347), (347, 690)]:
        part = [np.ascontiguousarray(array[:, first:end]) for array in (sites, thresholds)]
        fields.advance(*part, False, first - burn_in, every, record)
    whole, state = patterns.astype(int), spins.astype(int)
    states = np.empty((n_chains, 690, n_spins), dtype=np.int8)
    for chain, k in np.ndindex(sites.shape):
        site = sites[chain, k]
        field = whole[:, site] @ (whole @ state[chain]) - n_patterns * state[chain, site]
        state[chain, site] = 1 if field + float(np.float32(unit * n_spins) * thresholds[chain, k]) >= 0 else -1
        states[chain, k] = state[chain]
    np.testing.assert_array_equal(record, states[:, burn_in:][:, every - 1 :: every])
    np.testing.assert_array_equal(fields.states(), states[:, -1])


def test_samples_depend_neither_on_the_grouping_of_chains_nor_on_records():
    dynamics = Glauber(PatternCouplings(random_patterns(6, 100, seed=0)), 0.7)
    whole = sample(dynamics, draws=8, chains=7, burn_in=3, seed=1, check=False)["spins"].values
    for chains, jobs in ((1, 1), (2, 1), (7, 2), (5, 3)):
        part = sample(dynamics, draws=8, chains=chains, burn_in=3, seed=1, n_jobs=jobs, check=False)
        np.testing.assert_array_equal(part["spins"].values, whole[:chains])
    last = sample(dynamics, draws=1, chains=7, burn_in=3, thin=8, seed=1, check=False)["spins"].values
    np.testing.assert_array_equal(last[:, 0], whole[:, -1])


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [("haswell", None, False), ("skylake", "+avx2", False), ("znver5", "+avx2,+avx512bw,+avx512vpopcntdq", True)],
)
def test_width_of_vectors_follows_the_processor_that_code_is_compiled_for(name, features, expected, monkeypatch):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert wide_vectors.__wrapped__() is expected


def test_words_hold_a_bit_for_each_pattern():
    """Pattern 2 k of sixteen has bit k of their first byte, pattern 2 k + 1 that of their second."""
    patterns = random_patterns(64, 9, seed=0)
    words = pattern_words(patterns)
    assert words.dtype == np.uint64
    octets = words.view(np.uint8).reshape(9, 8)
    for mu, spin in np.ndindex(patterns.shape):
        sixteen, rest = divmod(mu, 16)
        k, second = divmod(rest, 2)
        assert (octets[spin, 2 * sixteen + second] >> k) & 1 == (patterns[mu, spin] == 1)
    np.testing.assert_array_equal(pattern_words(-np.ones((64, 2), dtype=np.int8)), 0)


def test_arrays_with_gaps_are_refused():
    sites, thresholds = np.zeros((1, 64), dtype=np.int32)[:, ::2], np.zeros((1, 32), dtype=np.float32)
    overlaps, spins = np.zeros((1, MOST_PATTERNS), dtype=np.int16), np.ones((1, 3), dtype=np.int8)
    with pytest.raises(TypingError, match="contiguous"):
        visits(sites, thresholds, BLOCK, np.zeros(3, dtype=np.uint64), overlaps, spins, np.float32(1.0), 1, 1)
