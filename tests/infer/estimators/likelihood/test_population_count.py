"""Couplings with a potential of the population count: enumeration, chains, planted potentials."""

import numpy as np
import pytest

from infer import CountModel, KPairwise, MaximumLikelihood, log_likelihood, log_partition
from tests import exact


def planted(n_spins, seed, depth=1.0):
    rng = np.random.default_rng(seed)
    potential = -depth * np.maximum(np.arange(n_spins + 1) - 4.0, 0.0) ** 1.5
    return CountModel(exact.random_couplings(n_spins, 0.6, rng), rng.normal(-0.3, 0.3, n_spins), potential)


def draw(model, n_rows, seed):
    states = exact.all_states(model.n_spins)
    weight = np.exp(-model.energies(states))
    return states[np.random.default_rng(seed).choice(len(states), size=n_rows, p=weight / weight.sum())]


def test_energies_and_partition_function_written_out():
    model = planted(6, 0)
    states = exact.all_states(6)
    plain = exact.energies(model.couplings, model.fields) - model.potential[(states > 0).sum(axis=1)]
    np.testing.assert_allclose(model.energies(states), plain, atol=1e-12)
    assert log_partition(model).value == pytest.approx(np.log(np.exp(-plain).sum()), abs=1e-12)
    # conditional probabilities from energies of a state and of the state with one spin turned
    index = exact.state_index(states)
    np.testing.assert_array_equal(index, np.arange(64))
    turned = plain[np.arange(64)[:, None] ^ (1 << np.arange(6))]
    np.testing.assert_allclose(
        model.log_pseudolikelihood(states), -np.logaddexp(0.0, plain[:, None] - turned).sum(axis=1), atol=1e-12
    )


@pytest.mark.slow
def test_annealing_agrees_with_enumeration():
    model = planted(12, 1)
    truth = log_partition(model).value
    found = log_partition(model, method="ais", seed=0)
    assert found.std <= 0.0021
    assert found.value == pytest.approx(truth, abs=4.5 * found.std)  # false alarm 7e-6


def test_the_fit_has_the_moments_and_counts_of_the_samples():
    model = planted(8, 2)
    spins = draw(model, 4000, 2)
    fitted = KPairwise(alpha=0.0, smoothness=1e-9).fit(spins)
    states = exact.all_states(8)
    weight = np.exp(-fitted.model_.energies(states))
    weight /= weight.sum()
    np.testing.assert_allclose(weight @ states, spins.mean(axis=0), atol=1e-6)
    shares = np.bincount((states > 0).sum(axis=1), weights=weight)
    np.testing.assert_allclose(shares, np.bincount((spins > 0).sum(axis=1), minlength=9) / 4000, atol=1e-6)
    assert np.all(fitted.count_potential_[:3] == 0.0)
    assert np.isfinite(fitted.count_potential_).all()


@pytest.mark.slow
def test_chains_find_what_enumeration_finds():
    model = planted(12, 3)
    spins = draw(model, 6000, 3)
    best = KPairwise().fit(spins)
    fitted = KPairwise("pcd").fit(spins)
    assert fitted.converged_
    assert best.converged_
    # chains leave a fifth of the data's errors in the moments, more in the one direction that all of V shares
    seen = np.bincount((spins > 0).sum(axis=1), minlength=13) >= 30
    differences = (fitted.count_potential_ - best.count_potential_)[3:] / best.count_potential_std_[3:]
    assert np.sqrt(np.mean(differences[seen[3:]] ** 2)) < 1.5
    above = np.triu_indices(12, 1)
    differences = (fitted.couplings_ - best.couplings_)[above] / best.couplings_std_[above]
    assert np.sqrt(np.mean(differences**2)) < 0.4
    gap = log_likelihood(fitted, spins).value - log_likelihood(best, spins).value
    assert abs(gap) < 0.1 * 90 / 6000  # of about (number of parameters) / (2 n) that the fit gains from noise


def test_a_planted_potential_is_found():
    model = planted(10, 4)
    spins, held_out = draw(model, 20_000, 4), draw(model, 5000, 5)
    fitted, pairs = KPairwise().fit(spins), MaximumLikelihood().fit(spins)
    # in the gauge of the fit: a quadratic part of the potential belongs to fields and couplings
    counts = np.arange(11)
    quadratic = np.polyfit(counts[:3], model.potential[:3], 2)
    truth = model.potential - np.polyval(quadratic, counts)
    seen = np.bincount((spins > 0).sum(axis=1), minlength=11) >= 30
    z = ((fitted.count_potential_ - truth)[3:] / fitted.count_potential_std_[3:])[seen[3:]]
    assert np.abs(z).max() < 4.0  # at most 8 scores: false alarm 5e-4
    assert log_likelihood(fitted, held_out).value > log_likelihood(pairs, held_out).value


def test_counts_that_never_occur_stay_finite_and_constant_spins_count():
    model = planted(8, 5, depth=3.0)
    spins = draw(model, 500, 6)
    assert (spins > 0).sum(axis=1).max() < 8
    with_constant = np.column_stack([spins, np.ones(500, dtype=np.int8)])
    with pytest.warns(Warning, match="spin 8 never change"):
        fitted = KPairwise().fit(with_constant)
    alone = KPairwise().fit(spins)
    assert np.isfinite(fitted.count_potential_).all()
    np.testing.assert_allclose(fitted.count_potential_[1:], alone.count_potential_, atol=1e-9)
    assert fitted.score(with_constant) == pytest.approx(alone.score(spins), abs=0.02)
