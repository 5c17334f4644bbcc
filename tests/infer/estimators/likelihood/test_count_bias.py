"""Biased chains and reweighted steps against sums over all states."""

import numpy as np
import pytest

from infer.estimators.likelihood.chain_moments import ChainMoments, run_chains
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.count_bias import CountBias, count_log_shares, counts_along, main_pattern
from infer.estimators.likelihood.monte_carlo import Problem, moment_errors, reweighted_step, tilted
from infer.estimators.likelihood.sampled_curvature import SampledCurvature, WeightedStates, solve
from infer.estimators.likelihood.terms import Penalty, Terms
from tests import exact

PATTERN = np.array([1, -1, 1, 1, -1, 1, -1, 1], dtype=np.int8)


def model(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(8, scale, rng), rng.normal(0, 0.4, 8)


def test_counts_of_independent_spins_are_those_of_all_states():
    means = np.random.default_rng(0).uniform(-0.9, 0.9, 8)
    weight = exact.boltzmann(np.zeros((8, 8)), np.arctanh(means))
    shares = np.bincount((exact.all_states(8) > 0).sum(axis=1), weights=weight)
    np.testing.assert_allclose(np.exp(count_log_shares(means)), shares, rtol=1e-10)


def test_counts_along_a_pattern_are_those_of_a_loop():
    states = exact.all_states(8).astype(np.int8)
    wanted = [sum(int(a == b) for a, b in zip(state, PATTERN, strict=True)) for state in states]
    np.testing.assert_array_equal(counts_along(PATTERN, states), wanted)


def test_the_bias_leads_to_a_mixture_with_even_counts():
    log_shares = np.log([0.7, 0.2, 0.06, 0.03, 0.01])
    bias = CountBias.of(np.ones(4, dtype=np.int8), log_shares)
    biased = np.exp(log_shares + bias.potential)
    np.testing.assert_allclose(biased, 0.6 * np.exp(log_shares) + 0.4 / 5, rtol=1e-12)
    assert np.exp(-bias.potential).max() < 1 / 0.6  # no state counts for much more than its share


@pytest.mark.parametrize("with_counts", [False, True])
def test_weights_give_back_the_moments_of_the_model(with_counts):
    couplings, fields = model(1)
    pattern = np.ones(8, dtype=np.int8) if with_counts else PATTERN
    states = exact.all_states(8)
    weight = exact.boltzmann(couplings, fields)
    along = np.bincount(counts_along(pattern, states), weights=weight)
    bias = CountBias.of(pattern, np.log(along))
    terms = Terms(8, True, with_counts)
    shares = np.bincount((states > 0).sum(axis=1), weights=weight)
    truth = terms.pack((states * weight[:, None]).T @ states, weight @ states, shares)
    chains = PersistentChains(bias.starts(np.zeros(8), 200, np.random.default_rng(1)), 2)
    vector = terms.pack(couplings, fields, np.zeros(9))
    run_chains(terms, vector, chains, np.zeros(8), 20, bias=bias)
    found = run_chains(terms, vector, chains, np.full(8, 0.2), 500, bias=bias)
    z = (found.mean - truth) / np.sqrt(found.variance)
    assert np.abs(z).max() < 4.5  # at most 42 scores of 199 degrees of freedom: false alarm below 5e-4
    # chains visit the counts as the mixture says: 40 000 correlated states, a share of 0.05 known to 0.004 or better
    visited = np.bincount(counts_along(pattern, found.states), minlength=9) / len(found.states)
    np.testing.assert_allclose(visited, 0.6 * along + 0.4 / 9, atol=0.03)
    # states drawn by their weights have the moments of the model; 20 000 states, standard error below 0.014
    np.testing.assert_allclose(found.resampled(20_000).mean(axis=0), weight @ states, atol=0.06)


def test_the_main_pattern_is_that_of_two_parties():
    rng = np.random.default_rng(2)
    party = rng.choice([-1, 1], size=(500, 1))
    votes = np.where(rng.random((500, 8)) < 0.1, -1, 1) * party * PATTERN
    found = main_pattern(votes.mean(axis=0), votes.T @ votes / 500)
    assert abs(found @ PATTERN) == 8
    # rare units: the leading eigenvector is noise, and the number of +1 is what is counted
    rare = np.where(rng.random((500, 8)) < 0.05, 1, -1)
    np.testing.assert_array_equal(main_pattern(rare.mean(axis=0), rare.T @ rare / 500), 1)


def weighted_states(terms, couplings, fields):
    """All states, with their probabilities as weights, as if chains had visited each once."""
    states = exact.all_states(8).astype(np.int8)
    return states, exact.boltzmann(couplings, fields)


def test_curvature_of_weighted_states_is_their_covariance():
    couplings, fields = model(3)
    terms, centre = Terms(8), np.full(8, 0.1)
    states, weight = weighted_states(terms, couplings, fields)
    second = exact.moments(couplings, fields)[1]
    known = WeightedStates(terms, states, centre, weight)
    penalty = Penalty(terms, 0.1)
    curvature = SampledCurvature(penalty, known, known.shares, centre, second, 0.0)
    x = states - centre
    features = np.concatenate([(x[:, :, None] * x[:, None, :])[:, *np.triu_indices(8, 1)], x], axis=1)
    wanted = np.cov(features.T, aweights=weight, ddof=0) + penalty.matrix()
    direction = np.random.default_rng(3).normal(size=terms.size)
    np.testing.assert_allclose(curvature.apply(direction), wanted @ direction, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(known.energies(direction), features @ direction, rtol=1e-5, atol=1e-5)
    # the preconditioner is positive definite, and the solution that of the dense system
    matrix = np.stack([curvature.precondition(unit) for unit in np.eye(terms.size)])
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-10)
    assert np.linalg.eigvalsh(matrix).min() > 0.0
    solution = solve(curvature.apply, curvature.precondition, direction, 1e-5, 300)
    np.testing.assert_allclose(solution, np.linalg.solve(wanted, direction), rtol=2e-3, atol=2e-3)


def test_a_reweighted_step_leads_to_the_maximum_of_the_likelihood():
    """All states stand for chains of one model; the maximum for the moments of another is known, and its weights."""

    (couplings, fields), terms = model(4, 0.5), Terms(8)
    change = 0.05 * np.random.default_rng(5).normal(size=terms.size)
    vector = terms.pack(couplings, fields)
    target = terms.unpack(vector + change)
    means, second = exact.moments(target.couplings, target.fields)
    states, weight = weighted_states(terms, couplings, fields)
    own_means, own_second = exact.moments(couplings, fields)
    sums = np.tile(terms.pack(own_second, own_means), (2, 1))
    # each state a hundred times with the weight of its probability: the effective number of states is large
    known = ChainMoments(sums, np.ones(2), np.repeat(states, 100, axis=0), np.repeat(weight, 100), 100)
    errors = moment_errors(terms, means, second, None, 1e6)
    problem = Problem(terms, Penalty(terms, 0.0), means, second, None, errors, 1e6, states)
    step = reweighted_step(problem, vector, known, entropy=10.0, reference=False)
    # two Newton steps, solved to a tenth: most of the way
    assert np.linalg.norm(step.change - change) < 0.25 * np.linalg.norm(change)
    moved = terms.unpack(vector + step.change)
    wanted = exact.boltzmann(moved.couplings, moved.fields)
    shares = tilted(step.shares, step.log_factors).reshape(len(states), -1).sum(axis=1)
    np.testing.assert_allclose(shares, wanted, rtol=1e-3)
    # a small limit on the relative entropy is kept
    limited = reweighted_step(problem, vector, known, entropy=1e-4, reference=False)
    after = tilted(limited.shares, limited.log_factors)
    assert float(np.sum(after * np.log(after / limited.shares))) <= 1e-4
    assert np.linalg.norm(limited.change) < np.linalg.norm(step.change)
