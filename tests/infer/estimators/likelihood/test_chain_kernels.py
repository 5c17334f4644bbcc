"""Compiled chains against plain loops with the same random numbers, and against sums over all states."""

import numpy as np
import pytest

from infer.count_model import CountModel
from infer.estimators.likelihood.chain_kernels import fill_thresholds, sweep_chains
from infer.estimators.likelihood.chain_moments import run_chains
from infer.estimators.likelihood.chains import PersistentChains, chain_generators, padded
from infer.estimators.likelihood.terms import Terms
from tests import exact


def plain_thresholds(state, count):
    """xoshiro128++ in every lane, and thresholds of logistic density, with Python's integers."""
    s, out, mask = [[int(x) for x in row] for row in state], [], 0xFFFFFFFF
    while len(out) < count:
        for lane in range(len(s[0])):
            a, b, c, d = (s[word][lane] for word in range(4))
            total = (a + d) & mask
            bits = ((((total << 7) | (total >> 25)) & mask) + a) & mask
            c, d = c ^ a, d ^ b
            s[1][lane], s[0][lane] = b ^ c, a ^ d
            s[2][lane] = (c ^ (b << 9)) & mask
            s[3][lane] = ((d << 11) | (d >> 21)) & mask
            w = ((bits >> 1) + 0.5) * 2.0**-31
            out.append(np.log((2.0 - w) / w) * (0.5 - (bits & 1)))
    return np.array(out[:count]), np.array(s, dtype=np.uint32)


def plain_sweeps(thresholds, couplings, fields, half_steps, spins, n_sweeps):
    """States after every sweep, local fields computed afresh for each update."""
    states = []
    for sweep in range(n_sweeps):
        for i in range(len(spins)):
            others = np.sum(np.delete(spins, i) > 0)
            local = couplings[i] @ spins + fields[i] + half_steps[others]
            spins[i] = 1 if local + thresholds[sweep][i] > 0 else -1
        states.append(spins.copy())
    return np.array(states)


def test_thresholds_are_those_of_plain_integers():
    state = chain_generators(1, 3)[0]
    out, bits = np.empty(3 * state.shape[1], np.float32), np.empty(state.shape[1], np.uint32)
    wanted, end = plain_thresholds(state, len(out))
    fill_thresholds(state, bits, out)
    np.testing.assert_allclose(out, wanted, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(state, end)


def test_sweeps_are_those_of_a_plain_loop():
    rng, n_spins, n_sweeps = np.random.default_rng(0), 7, 20
    couplings, fields = exact.random_couplings(n_spins, 1.0, rng), rng.normal(0, 0.5, n_spins)
    half_steps = rng.normal(0, 0.3, n_spins)
    spins = rng.choice([-1, 1], size=(3, n_spins)).astype(np.int8)
    state = chain_generators(3, 1)
    wanted = []
    for chain in range(3):
        per_sweep = -(-n_spins // state.shape[2]) * state.shape[2]
        thresholds, _ = plain_thresholds(state[chain], per_sweep * n_sweeps)
        start = spins[chain].astype(float)
        wanted.append(
            plain_sweeps(thresholds.reshape(n_sweeps, per_sweep), couplings, fields, half_steps, start, n_sweeps)
        )
    record = np.empty((3, n_sweeps, n_spins), np.int8)
    sweep_chains(
        state,
        padded(couplings),
        fields.astype(np.float32),
        half_steps.astype(np.float32),
        spins,
        n_sweeps,
        1,
        record,
    )
    np.testing.assert_array_equal(record, np.array(wanted))
    np.testing.assert_array_equal(spins, record[:, -1])


@pytest.mark.parametrize("with_counts", [False, True])
def test_moments_of_chains_are_those_of_all_states(with_counts):
    n_spins, rng = 8, np.random.default_rng(1)
    terms = Terms(n_spins, True, with_counts)
    couplings, fields = exact.random_couplings(n_spins, 1.0, rng), rng.normal(0, 0.5, n_spins)
    potential = rng.normal(0, 0.8, n_spins + 1) * with_counts
    potential[:3] = 0.0
    states = exact.all_states(n_spins).astype(float)
    energies = CountModel.of(couplings, fields, potential).energies(states)
    weight = np.exp(-energies) / np.exp(-energies).sum()
    shares = np.bincount((states > 0).sum(axis=1), weights=weight)
    truth = terms.pack((states * weight[:, None]).T @ states, weight @ states, shares)
    chains = PersistentChains(rng.choice([-1, 1], size=(200, n_spins)), 2)
    vector = terms.pack(couplings, fields, potential)
    # any centre gives the same means
    run_chains(terms, vector, chains, np.zeros(n_spins), 20)
    found = run_chains(terms, vector, chains, rng.uniform(-0.5, 0.5, n_spins), 500)
    z = (found.mean - truth) / np.sqrt(found.variance)
    assert np.abs(z).max() < 4.5  # at most 42 scores of 199 degrees of freedom: false alarm below 5e-4


def test_chains_share_nothing():
    # the share of spins that were never updated to +1 after one sweep differs between chains as independent ones do
    n_spins, n_chains = 40, 4000
    chains = PersistentChains(np.ones((n_chains, n_spins)), 5)
    states = chains.advance(np.zeros((n_spins, n_spins)), np.zeros(n_spins), 1, record=True)[:, 0].astype(float)
    products = states[0::2] * states[1::2]  # of pairs of chains at equal times and sites
    # 80 000 products of independent signs: 4 sigma, false alarm 6e-5
    assert abs(products.mean()) < 4 / np.sqrt(products.size)
    assert abs(states.mean()) < 4 / np.sqrt(states.size)
