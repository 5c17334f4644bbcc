"""Neighbours of dreaming: closed forms, bounds, plain twins, and what they do for memory."""

import numpy as np
import pytest

from simulate import daydream, dreaming, hebbian, random_patterns, retrieval
from simulate.memory import bounded_learning, centred_daydream, high_temperature_unlearn
from simulate.memory import relaxation_kernels as kernels
from simulate.memory.thermal import mean_field_correlations


def offdiagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


def test_unlearning_at_high_temperature_is_the_formula():
    couplings = hebbian(random_patterns(6, 30, seed=0))
    found = high_temperature_unlearn(couplings, 0.3, 0.4)
    assert np.allclose(found, offdiagonal(couplings - 0.3 * np.linalg.inv(np.eye(30) - 0.4 * couplings)))
    assert np.array_equal(found, found.T)
    assert np.allclose(high_temperature_unlearn(couplings, 0.3, 0.0), couplings)
    # to second order in gamma the correlations of mean field, divided by their diagonal
    small = (high_temperature_unlearn(couplings, 0.0, 0.0) - high_temperature_unlearn(couplings, 1.0, 0.02)) / 0.02
    thermal = mean_field_correlations(couplings, 1 / 0.02)
    assert np.allclose(small, offdiagonal(thermal) / 0.02, atol=0.02)


def test_unlearning_at_high_temperature_makes_memory_better():
    patterns = random_patterns(30, 150, seed=1)
    couplings = hebbian(patterns)
    gamma = 0.8 / np.linalg.eigvalsh(couplings)[-1]
    before = retrieval.basins(couplings, patterns, [0.1], n_repeats=2, seed=0)
    after = retrieval.basins(high_temperature_unlearn(couplings, 0.5, gamma), patterns, [0.1], n_repeats=2, seed=0)
    assert float(after["mean_overlap"][0]) > float(before["mean_overlap"][0]) + 0.05


def test_couplings_stay_within_their_bound_and_without_one_are_hebbian():
    patterns = random_patterns(30, 40, seed=0)
    assert np.allclose(bounded_learning(patterns, np.inf), hebbian(patterns))
    found = bounded_learning(patterns, 0.3, n_dreams=3, epsilon=0.05, seed=0)
    assert 0.9 * 0.3 / np.sqrt(40) < abs(found).max() <= 0.3 / np.sqrt(40)
    assert abs(bounded_learning(patterns, 0.3)).max() == 0.3 / np.sqrt(40)
    assert np.array_equal(found, found.T)
    assert not np.diag(found).any()
    assert np.array_equal(found, bounded_learning(patterns, 0.3, n_dreams=3, epsilon=0.05, seed=0))


def test_bounded_couplings_remember_the_last_patterns():
    patterns = random_patterns(100, 100, seed=1)
    last = retrieval.overlaps(retrieval.relax(bounded_learning(patterns, 0.4), patterns, seed=0), patterns)
    own = np.diag(last)
    assert own[-3:].mean() > 0.9
    assert own[:50].mean() < 0.6
    lost = np.diag(retrieval.overlaps(retrieval.relax(hebbian(patterns), patterns, seed=0), patterns))
    assert lost[-3:].mean() < 0.7  # all are lost at once


def test_a_step_of_centred_daydreaming_is_that_of_its_plain_twin():
    patterns = random_patterns(4, 20, bias=0.5, seed=0).astype(float)
    couplings = np.random.default_rng(1).normal(size=(20, 20))
    couplings = offdiagonal(couplings + couplings.T) / 10
    found = couplings.copy()
    kernels.centred_daydream(found, patterns, 0.3, 3, 0.02, np.random.default_rng(7), 100)
    rng = np.random.default_rng(7)
    for _ in range(3):
        spins = np.array([1.0 if rng.random() < 0.65 else -1.0 for _ in range(20)])
        flipped = True
        while flipped:
            order = np.empty((1, 20), dtype=np.int64)
            kernels.shuffled_orders(rng, order)
            flipped = False
            for i in order[0]:
                if spins[i] * (couplings[i] @ (spins - 0.3)) < -1e-12:
                    spins[i], flipped = -spins[i], True
        xi = patterns[rng.integers(0, 4)] - 0.3
        couplings = offdiagonal(couplings + 0.02 * (np.outer(xi, xi) - np.outer(spins - 0.3, spins - 0.3)))
    assert np.allclose(found, couplings)


def test_centred_daydreaming_keeps_biased_patterns():
    patterns = random_patterns(10, 100, bias=0.6, seed=0)
    couplings, fields = centred_daydream(patterns, 4000, 0.02, seed=0)
    assert np.allclose(fields, -patterns.mean() * couplings.sum(axis=1))
    # a pattern is a fixed point where no spin opposes its field
    stable = (patterns * (patterns @ couplings + fields) >= 0).mean()
    plain = (patterns * (patterns @ hebbian(patterns)) >= 0).mean()
    assert stable == 1.0
    assert plain < 0.9


def test_unbiased_centred_daydreaming_is_daydreaming():
    patterns = random_patterns(5, 30, seed=0)
    found, fields = centred_daydream(patterns, 50, 0.02, bias=0.0, seed=3)
    assert np.allclose(found, daydream(patterns, 50, 0.02, seed=3))
    assert not fields.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda xi: high_temperature_unlearn(hebbian(xi), 0.1, 5.0), "gamma = 5 is too large: correlations diverge at"),
        (lambda xi: high_temperature_unlearn(hebbian(xi), -0.1, 0.1), "epsilon must be >= 0"),
        (lambda xi: bounded_learning(xi, 0.0), "bound must be a number > 0, got 0.0"),
        (lambda xi: bounded_learning(xi, 1.0, n_dreams=-1), "n_dreams must be at least 0"),
        (lambda xi: centred_daydream(xi, 5, bias=2.0), "bias must be"),
        (lambda xi: centred_daydream(np.ones((2, 5)), 5), "bias is 1: patterns whose entries are all the same"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_patterns(4, 20, seed=0))


def test_dreaming_and_unlearning_at_high_temperature_weaken_the_same_modes():
    patterns = random_patterns(8, 60, seed=0)
    couplings = hebbian(patterns)
    ratio = dreaming(patterns, 0.5)
    found = high_temperature_unlearn(couplings, 0.3, 0.3)
    spread = [np.ptp(np.linalg.eigvalsh(m)[-8:]) / np.linalg.eigvalsh(m)[-8:].mean() for m in (couplings, ratio, found)]
    assert spread[1] < spread[0]
    assert spread[2] < spread[0]
