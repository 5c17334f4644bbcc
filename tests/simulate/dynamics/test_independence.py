"""Chains are independent: each has random numbers of its own, and in simulations an order of sites of its own."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats

from infer.estimators.likelihood.chains import PersistentChains
from simulate import (
    ColoredFieldGlauber,
    Glauber,
    KineticIsing,
    Metropolis,
    PatternCouplings,
    PersistentGlauber,
    SpinDynamics,
    TwoTemperatureGlauber,
    hebbian,
    random_patterns,
    trajectory,
)

N_SPINS = 50
FREE = np.zeros((N_SPINS, N_SPINS))


@dataclass(frozen=True, eq=False)
class Written(SpinDynamics):
    """Single-spin dynamics as a user writes it."""

    couplings: Any
    fields: Any = None

    def threshold_source(self, rng):
        def fill(sites, out):
            out[:] = rng.logistic(scale=0.5, size=len(sites))

        return fill


DYNAMICS = {
    "Glauber": lambda couplings: Glauber(couplings, 1.0),
    "a bath for each spin": lambda couplings: Glauber(couplings, np.linspace(0.9, 1.1, couplings.shape[0])),
    "Metropolis": lambda couplings: Metropolis(couplings, 1.0),
    "persistent": lambda couplings: PersistentGlauber(couplings, 1.0, 0.5),
    "coloured": lambda couplings: ColoredFieldGlauber(couplings, 1.0, 1.0, 0.1),
    "two baths": lambda couplings: TwoTemperatureGlauber(couplings, 0.9, 1.1),
    "sequential": lambda couplings: KineticIsing(couplings, 1.0),
    "written by a user": Written,
}
KINDS = {
    "matrix": hebbian,
    "sparse": lambda patterns: sparse.csr_array(hebbian(patterns)),
    "patterns": PatternCouplings,
}


def relaxed(dynamics, chains, seed):
    """Mean spin of each chain after a sweep from the state of all +1."""
    states = trajectory(dynamics, 1, interval=1, chains=chains, burn_in=0, seed=seed, initial=np.ones(dynamics.n_spins))
    return states["spins"].values[:, 0].astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_relaxation_of_free_spins_has_its_exact_mean(seed):
    """A spin keeps its start with the chance (1 - 1/50)^50 = 0.3642 that it was not visited.

    The mean over the 10 000 chains has a standard error of 0.0013; 5 of them fail 6 seeds in 10^7. With one order of
    sites for all chains the mean scatters by 0.036, whatever the number of chains.
    """
    states = relaxed(Glauber(FREE, 1.0), 10_000, seed)
    expected = (1 - 1 / N_SPINS) ** N_SPINS
    # visits of different spins are almost independent; variance of a spin 1 - expected^2
    assert abs(states.mean() - expected) < 5 * np.sqrt((1 - expected**2) / states.size)


@pytest.mark.parametrize("name", DYNAMICS)
def test_relaxation_of_two_chains_is_uncorrelated(name):
    """Whether a spin still stands where it started, in pairs of chains with neighbouring numbers.

    2000 pairs of 50 spins: the correlation has a standard error of 0.0032 under independence; z beyond 4.5 fails once
    in 10^5. If chains visited the same sites, it would be p / (1 + p) = 0.27 for free spins,
    p = (1 - 1/50)^50.
    """
    couplings = hebbian(random_patterns(2, N_SPINS, seed=0)) * 0.2
    states = relaxed(DYNAMICS[name](couplings), 4000, seed=1)
    deviations = states - states.mean(axis=0)
    correlation = (deviations[::2] * deviations[1::2]).mean() / (deviations**2).mean()
    assert abs(correlation) * np.sqrt(deviations[::2].size) < 4.5


def between_chains(values):
    """Mean correlation between the chains of values (n_chains, n_draws), and its standard error.

    The variance of a mean over chains is that of one chain over their number, times 1 + (n_chains - 1) correlation.
    Errors come from twenty blocks of draws.
    """
    deviations = values - values.mean()
    n_chains, n_draws = values.shape
    blocks = np.array_split(np.arange(n_draws), 20)
    scale = (deviations**2).mean()
    found = []
    for block in blocks:
        part = deviations[:, block]
        pairs = (part.sum(axis=0) ** 2 - (part**2).sum(axis=0)) / (n_chains * (n_chains - 1))
        found.append(pairs.mean() / scale)
    return np.mean(found), np.std(found, ddof=1) / np.sqrt(len(found))


def test_products_of_spins_of_two_chains_are_uncorrelated_at_equal_times():
    """Three spins that drive each other around: with one order of sites for all chains, products correlate at 0.28.

    64 chains of 40 000 draws give a standard error of 1e-4; a right sampler exceeds 1e-3 never, and fails at 5 standard
    errors (Student's t with 19 degrees of freedom, three products) once in 4000.
    """
    couplings = np.array([[0, 1.0, -1.0], [-1.0, 0, 1.0], [1.0, -1.0, 0]])
    states = trajectory(KineticIsing(couplings, 1.0), 40_000, interval=1, chains=64, burn_in=20, seed=0)["spins"].values
    for pair in ((0, 1), (0, 2), (1, 2)):
        correlation, error = between_chains(states[..., pair].prod(axis=2).astype(float))
        assert error < 1.5e-4
        assert abs(correlation) < 1e-3
        assert abs(correlation) < 5 * error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DYNAMICS)
def test_a_chain_does_not_change_with_the_number_of_others_or_of_jobs(name, kind):
    dynamics = DYNAMICS[name](KINDS[kind](random_patterns(3, 20, seed=2)))
    arguments = {"duration": 6, "interval": 1, "burn_in": 2, "seed": 3}
    few, many = (trajectory(dynamics, chains=chains, **arguments)["spins"].values for chains in (3, 11))
    np.testing.assert_array_equal(few, many[:3])
    threads = trajectory(dynamics, chains=11, n_jobs=3, **arguments)["spins"].values
    np.testing.assert_array_equal(many, threads)


@pytest.mark.slow
def test_chains_of_the_likelihood_are_uncorrelated_at_equal_times():
    """Products of three spins under competing couplings, 64 chains of 20 000 sweeps.

    All chains visit the sites in one fixed order; heat-bath updates with thresholds of their own keep them independent.
    The standard error is about 1e-4; 5 of them (Student's t with 19 degrees of freedom, three products) fail once in
    4000 seeds. Power: two chains of the 64 with all thresholds in common would give 2 / (64 * 63) = 5e-4, and a
    threshold in a hundred shared by all of them about 1e-2.
    """
    couplings = np.array([[0, 0.6, -0.6], [0.6, 0, 0.6], [-0.6, 0.6, 0]])
    chains = PersistentChains(np.ones((64, 3)), seed=4)
    chains.advance(couplings, np.zeros(3), 50)
    states = chains.advance(couplings, np.zeros(3), 20_000, record=True).astype(float)
    for pair in ((0, 1), (0, 2), (1, 2)):
        correlation, error = between_chains(states[..., pair].prod(axis=2))
        assert error < 2e-4
        assert abs(correlation) < 5 * error


def test_chains_of_the_likelihood_do_not_change_with_the_number_of_others():
    few, many = (PersistentChains(np.ones((chains, N_SPINS)), seed=4) for chains in (12, 40))
    for chains in (few, many):
        chains.advance(FREE, np.zeros(N_SPINS), 3)
    np.testing.assert_array_equal(few.spins, many.spins[:12])


def test_chains_of_the_likelihood_go_on_with_new_numbers():
    """Free spins forget in one sweep; repeated thresholds would give them the same values again, agreement 1.

    100 000 products of +-1 have a standard error of 0.0032 under independence: 5 of them fail 6 seeds in 10^7.
    """
    chains = PersistentChains(np.ones((2000, N_SPINS)), seed=5)
    first = chains.advance(FREE, np.zeros(N_SPINS), 1, record=True)[:, 0].astype(float)
    second = chains.advance(FREE, np.zeros(N_SPINS), 1, record=True)[:, 0].astype(float)
    np.testing.assert_array_equal(chains.spins, second)
    assert abs((first * second).mean()) < 5 / np.sqrt(first.size)
    assert abs(first.mean()) < 5 / np.sqrt(first.size)
    # and two calls of one sweep are one call of two
    again = PersistentChains(np.ones((2000, N_SPINS)), seed=5)
    both = again.advance(FREE, np.zeros(N_SPINS), 2, record=True)
    np.testing.assert_array_equal(both[:, 1], second)


@pytest.mark.validation
def test_errors_from_several_chains_cover_the_truth(record_property):
    """Coverage of 95% intervals of a mean product of spins whose error comes from the means of 64 chains.

    With one order of sites for all chains they were up to five times too narrow. 400 seeds: 380 +- 4.4 expected; the
    bounds are four standard deviations. The figures are in tests/VALIDATION.md.
    """
    couplings = np.array([[0, 1.0, -1.0], [-1.0, 0, 1.0], [1.0, -1.0, 0]])
    states = np.array(list(product([-1, 1], repeat=3)))
    matrix = np.zeros((8, 8))
    for k, state in enumerate(states):
        for i in range(3):
            up = 1 / (1 + np.exp(-2 * couplings[i] @ state))
            for value, chance in ((1, up), (-1, 1 - up)):
                target = np.where(np.arange(3) == i, value, state)
                matrix[(states == target).all(axis=1).argmax(), k] += chance / 3
    law = np.linalg.svd(matrix - np.eye(8))[2][-1]
    truth = law @ states[:, [0, 1]].prod(axis=1) / law.sum()
    scores = []
    for seed in range(400):
        run = trajectory(KineticIsing(couplings, 1.0), 200, interval=1, chains=64, burn_in=20, seed=seed)
        means = run["spins"].values[..., [0, 1]].prod(axis=2).mean(axis=1)
        scores.append((means.mean() - truth) / (means.std(ddof=1) / 8))
    covered = int((np.abs(scores) < stats.t.ppf(0.975, 63)).sum())
    record_property("covered of 400", covered)
    record_property("standard deviation of the scores", float(np.std(scores)))
    assert 362 <= covered <= 398


@pytest.mark.validation
@pytest.mark.parametrize("name", DYNAMICS)
def test_rate_of_correlations_between_chains(name, record_property):
    """|z| of the correlation between chains above 1.96 in 5% of 100 seeds: 5 +- 2.2, at most 14 (3 in 10 000)."""
    couplings = hebbian(random_patterns(2, N_SPINS, seed=0)) * 0.2
    scores = []
    for seed in range(100):
        states = relaxed(DYNAMICS[name](couplings), 400, seed=seed)
        deviations = states - states.mean(axis=0)
        correlation = (deviations[::2] * deviations[1::2]).mean() / (deviations**2).mean()
        scores.append(correlation * np.sqrt(deviations[::2].size))
    beyond = int((np.abs(scores) > 1.96).sum())
    record_property("beyond 1.96", beyond)
    assert beyond <= 14
