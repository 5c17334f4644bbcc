"""Minima found by descent and bounds of saddles, for models small enough to know the answer."""

import numpy as np
import pytest

from infer.landscape.exact import exact_landscape, state_numbers, states_of
from infer.landscape.search import MOST_MINIMA, descend, find_minima, merges_of, model_rows
from infer.model import PairModel
from tests import exact


def small_model(seed, n_spins=9, scale=2.5):
    rng = np.random.default_rng(seed)
    return PairModel(exact.random_couplings(n_spins, scale, rng), rng.normal(0, 0.2, n_spins))


@pytest.mark.parametrize("seed", range(4))
def test_descent_leads_where_enumeration_says(seed):
    model = small_model(seed)
    truth = exact_landscape(exact.energies(model.couplings, model.fields))
    states = exact.all_states(9)
    settled = descend(model, states)
    np.testing.assert_array_equal(state_numbers(settled), truth.minima[truth.labels])


@pytest.mark.parametrize("seed", range(4))
def test_saddles_are_bounded_from_above(seed):
    model = small_model(seed)
    truth = exact_landscape(exact.energies(model.couplings, model.fields))
    found = find_minima(model, descend(model, exact.all_states(9)))
    energies = truth.energies[truth.minima]
    np.testing.assert_array_equal(found.minima, states_of(truth.minima, 9))
    np.testing.assert_allclose(found.energies, energies, atol=1e-10)
    bound, saddle = found.merges.saddles(found.energies), truth.merges.saddles(energies)
    assert (bound >= saddle - 1e-9).all()
    # and it is a useful bound: at most minima it is the saddle itself
    assert np.mean(np.abs(bound - saddle) < 1e-9) > 0.5
    np.testing.assert_array_equal(found.labels(states_of(truth.minima, 9)), np.arange(len(energies)))


def test_plateaus_have_one_minimum():
    # a spin without couplings or field, and one beside a zero field on a plateau with a way down
    couplings = np.zeros((5, 5))
    couplings[:3, :3] = 0.7 - 0.7 * np.eye(3)
    model = PairModel(couplings, np.array([0.1, 0, 0, 0, 0]))
    truth = exact_landscape(exact.energies(model.couplings, model.fields))
    settled = descend(model, exact.all_states(5))
    np.testing.assert_array_equal(state_numbers(settled), truth.minima[truth.labels])


def test_minima_never_seen_before_have_no_number():
    model = small_model(0)
    settled = descend(model, exact.all_states(9))
    found = find_minima(model, settled[:1])
    assert set(found.labels(settled)) == {0, -1}


def test_the_most_visited_minima_are_kept():
    # without couplings in pairs: every state of 11 spins that is given counts as one of its own
    model = PairModel(np.zeros((11, 11)), np.zeros(11))
    states = exact.all_states(11)
    found = find_minima(model, np.concatenate([states, states[-5:]]))
    assert len(found.minima) == MOST_MINIMA
    assert found.n_left_out == 2**11 - MOST_MINIMA
    assert (found.labels(states[-5:]) >= 0).all()


def test_ways_over_third_minima_count():
    tops = np.array([[-3.0, 5.0, 1.0], [5.0, -2.0, 2.0], [1.0, 2.0, -1.0]])
    merges = merges_of(tops)
    assert merges.saddles(np.diag(tops)).tolist() == [[-3.0, 2.0, 1.0], [2.0, -2.0, 2.0], [1.0, 2.0, -1.0]]
    np.testing.assert_allclose(merges.depths(np.diag(tops)), [4.0, 4.0, 2.0])


def test_rows_of_the_model_have_its_energy():
    model = small_model(2, 8, 1.0)
    starts = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (100, 8))
    rows, chains = model_rows(model, starts, 20_000, np.random.SeedSequence(0))
    assert rows.shape == (20_000, 8)
    per_chain = model.energies(rows).reshape(100, -1).mean(axis=1)
    assert np.bincount(chains).tolist() == [200] * 100
    truth = exact.boltzmann(model.couplings, model.fields) @ exact.energies(model.couplings, model.fields)
    assert abs(per_chain.mean() - truth) < 5.0 * per_chain.std(ddof=1) / 10.0  # false alarms at 1e-6
