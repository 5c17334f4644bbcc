"""Landscapes by enumeration against plain Python."""

import numpy as np
import pytest

from infer.landscape.exact import all_energies, energy_levels, exact_landscape, state_numbers, states_of
from infer.landscape.landscape_kernels import walk_states
from infer.model import PairModel
from tests import exact
from tests.infer.landscape import brute


def random_energies(n_spins, seed, scale=2.0):
    rng = np.random.default_rng(seed)
    return exact.energies(exact.random_couplings(n_spins, scale, rng), rng.normal(0.0, 0.2, n_spins))


def assert_landscape(energies):
    """Everything against plain Python."""
    found = exact_landscape(energies)
    states, flats = brute.minima(energies)
    assert found.minima.tolist() == states
    assert found.plateaus.tolist() == [len(flat) for flat in flats]
    expected = brute.saddles(energies, states)
    np.testing.assert_allclose(found.merges.saddles(energies[found.minima]), expected, atol=1e-9)
    depth = found.merges.depths(energies[found.minima])
    others = expected + np.diag(np.full(len(states), np.inf))
    if len(states) > 1:
        np.testing.assert_allclose(depth, others.min(axis=1) - energies[found.minima], atol=1e-9)
    else:
        assert np.isnan(depth).all()
    for k, flat in enumerate(flats):
        assert (found.labels[list(flat)] == k).all()
    return found


@pytest.mark.parametrize("n_spins", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(4))
def test_random_models_without_ties(n_spins, seed):
    energies = random_energies(n_spins, seed)
    found = assert_landscape(energies)
    np.testing.assert_array_equal(found.labels, brute.basins(energies))


@pytest.mark.parametrize("seed", range(3))
def test_any_function_of_states_is_a_landscape(seed):
    # no pair model has as many minima as a random function
    energies = np.random.default_rng(seed).normal(size=2**7)
    found = assert_landscape(energies)
    assert len(found.minima) > 5
    np.testing.assert_array_equal(found.labels, brute.basins(energies))


@pytest.mark.parametrize("seed", range(6))
def test_ties_make_plateaus(seed):
    # few different energies: plateaus of many states, some with a way down, some without
    energies = np.random.default_rng(seed).integers(0, 4, 2**7).astype(float)
    found = assert_landscape(energies)
    assert (found.plateaus > 1).any()
    # every state reaches its minimum without climbing
    assert (energies[found.minima][found.labels] <= energies).all()


def test_a_plateau_with_a_way_down_is_no_minimum():
    #        000  001  010  011  100  101  110  111: three states at 0 in a row, the last beside -1
    energies = np.array([0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 2.0, -1.0])
    found = exact_landscape(energies)
    assert found.minima.tolist() == [7]
    assert found.labels.tolist() == [0] * 8


def test_a_spin_without_couplings_makes_minima_of_two_states():
    couplings = np.zeros((4, 4))
    couplings[:3, :3] = 0.7 - 0.7 * np.eye(3)
    found = assert_landscape(exact.energies(couplings))
    assert found.minima.tolist() == [0, 7]
    assert found.plateaus.tolist() == [2, 2]
    assert np.bincount(found.labels).tolist() == [8, 8]


def test_free_spins_are_one_plateau():
    found = assert_landscape(np.zeros(2**6))
    assert found.minima.tolist() == [0]
    assert found.plateaus.tolist() == [64]
    assert (found.labels == 0).all()


@pytest.mark.parametrize("n_spins", [3, 10, 13])
def test_energies_of_all_states(n_spins):
    rng = np.random.default_rng(n_spins)
    couplings, fields = exact.random_couplings(n_spins, 3.0, rng), rng.normal(size=n_spins)
    model = PairModel(couplings, fields)
    expected = exact.energies(couplings, fields)
    # rounding of a thousand flips stays far below what counts as a tie
    np.testing.assert_allclose(all_energies(model, n_spins), expected, atol=1e-12 * np.ptp(expected))
    states = exact.all_states(n_spins)
    np.testing.assert_array_equal(states_of(np.arange(2**n_spins), n_spins), states)
    np.testing.assert_array_equal(state_numbers(states), np.arange(2**n_spins))


def test_any_model_with_energies_is_asked_for_them():
    class Counts:
        n_spins = 5

        def energies(self, spins):
            return ((spins > 0).sum(axis=1) - 2.0) ** 2

    np.testing.assert_array_equal(all_energies(Counts(), 5), Counts().energies(exact.all_states(5)))


def test_rounding_is_a_tie_and_a_small_difference_is_not():
    _, levels = energy_levels(np.array([1.0, -1.0, 1.0 + 1e-14, 1.0 + 1e-9]))
    assert levels.tolist() == [1, 0, 1, 2]


def test_heat_bath_walk_has_the_probabilities_of_the_model():
    # chi-square of 8 states over 4000 chains, each counted once after 30 sweeps: false alarms at 1e-6
    energies = random_energies(3, 0, 1.0)
    rows = np.empty((4000, 31), dtype=np.int64)
    walk_states(energies, 3, np.random.default_rng(0), np.zeros(4000, dtype=np.int64), rows)
    expected = np.exp(-energies) / np.exp(-energies).sum() * 4000
    observed = np.bincount(rows[:, -1], minlength=8)
    assert ((observed - expected) ** 2 / expected).sum() < 41.0


def test_heat_bath_steps_have_their_probabilities():
    # one spin: stays or goes to the other state with the probabilities of the model, whatever it was
    energies = np.array([0.0, 0.8])
    rows = np.empty((1, 20_001), dtype=np.int64)
    walk_states(energies, 1, np.random.default_rng(1), np.zeros(1, dtype=np.int64), rows)
    share = 1.0 / (1.0 + np.exp(0.8))
    assert abs(rows.mean() - share) < 4.9 * np.sqrt(share * (1 - share) / 20_000)  # false alarms at 1e-6
