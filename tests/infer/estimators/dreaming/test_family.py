"""Test of the dreaming family: exact where scores vanish, its false alarms, and what driven spins do to it."""

import numpy as np
import pytest

from infer import DreamingModel
from simulate import Glauber, PersistentGlauber, dreaming, hebbian, parallel_tempering, random_patterns, sample
from tests import exact

PATTERNS = random_patterns(8, 40, seed=0)


def test_scores_vanish_on_the_exact_distribution_of_a_member():
    patterns = random_patterns(5, 9, seed=1)
    states = exact.all_states(9)
    weights = 1e4 * exact.boltzmann(0.6 * dreaming(patterns, 0.3))  # counts
    model = DreamingModel(patterns).fit(states, sample_weight=weights)
    assert model.rate_ == pytest.approx(0.3)
    found = model.family_test(states, sample_weight=weights, n_directions=1)
    assert found.statistic == pytest.approx(0.0, abs=1e-9)
    # couplings whose modes are weighted in another way
    values, vectors = np.linalg.eigh(patterns.T @ patterns / 9)
    other = (vectors * (0.1 * values**2)) @ vectors.T
    np.fill_diagonal(other, 0.0)
    weights = 1e4 * exact.boltzmann(other)
    model = DreamingModel(patterns).fit(states, sample_weight=weights)
    outside = model.family_test(states, sample_weight=weights, n_directions=1)
    assert outside.statistic > 1e3 * found.statistic
    assert outside.gain > found.gain


@pytest.mark.slow
def test_false_alarms_are_as_many_as_stated():
    couplings = dreaming(PATTERNS, 0.2)
    p_values = []
    for seed in range(30):
        samples = sample(Glauber(couplings, 1.8), 250, chains=4, thin=3, burn_in=50, seed=seed, check=False)
        p_values.append(DreamingModel(PATTERNS).fit(samples).family_test(samples, n_directions=2).p_value)
    # binomial of 30 and 0.05: more than 6 in 0.3 % of seeds; more than 23 of 30 below one half in 0.1 %
    assert sum(p < 0.05 for p in p_values) <= 6
    assert sum(p < 0.5 for p in p_values) <= 23


@pytest.mark.slow
def test_driven_spins_are_outside_of_the_family():
    patterns = random_patterns(20, 100, seed=0)
    samples = sample(PersistentGlauber(hebbian(patterns), 1.2, 0.7), 3000, chains=4, thin=4, seed=0, check=False)
    model = DreamingModel(patterns).fit(samples)
    found = model.family_test(samples)
    assert found.p_value < 1e-3
    assert found.gain > 0
    assert found.verdict.startswith("The samples are not those of any dreamed couplings (p = ")
    assert found.to_dict()["n_directions"] == 3


@pytest.mark.slow
def test_equilibrium_inside_the_family_is_not_rejected():
    samples = parallel_tempering(dreaming(PATTERNS, 0.2), 1.0, draws=500, burn_in=50, thin=3, n_temperatures=6, seed=0)
    found = DreamingModel(PATTERNS, "hybrid-rbm").fit(samples).family_test(samples)  # fixed seed
    assert found.p_value > 0.01
    assert found.verdict.startswith("Nothing shows")


def test_what_the_test_needs():
    samples = sample(Glauber(hebbian(PATTERNS), 2.0), 200, chains=2, seed=0, check=False)
    with pytest.raises(ValueError, match="the test is for models without fields"):
        DreamingModel(PATTERNS, fit_fields=True).fit(samples).family_test(samples)
    with pytest.raises(ValueError, match="7 directions need at least 9 different modes; take fewer"):
        DreamingModel(PATTERNS).fit(samples).family_test(samples, n_directions=7)
    with pytest.raises(ValueError, match="3 directions need more than 3 batches, but there are 3"):
        DreamingModel(PATTERNS, n_batches=3).fit(samples).family_test(samples)
    with pytest.raises(ValueError, match="n_directions must be at least 1"):
        DreamingModel(PATTERNS).fit(samples).family_test(samples, n_directions=0)
