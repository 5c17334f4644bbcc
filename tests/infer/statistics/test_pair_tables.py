"""Empty cells of pair tables, from moments alone, against counting."""

import numpy as np
import pytest

from infer.statistics.dichotomised import both_below, dichotomised_gaussian
from infer.statistics.pair_tables import SIGNS, empty_pairs, fixed_pairs, pair_shares


def test_shares_and_empty_cells_are_those_of_counting():
    spins = np.where(np.random.default_rng(3).random((2000, 10)) < 0.02, 1, -1)
    means, second = spins.mean(axis=0), spins.T @ spins / 2000
    shares = pair_shares(means, second)
    found = empty_pairs(means, second)
    counted = {}
    for i in range(10):
        for j in range(i + 1, 10):
            cells = np.array([np.mean((spins[:, i] == a) & (spins[:, j] == b)) for a, b in SIGNS])
            np.testing.assert_allclose(shares[:, i, j], cells, atol=1e-12)
            if (cells == 0).any():
                counted[i, j] = cells == 0
    assert 0 < len(found) == len(counted) < 45
    for (i, j), cells in zip(found.pairs, found.cells, strict=True):
        np.testing.assert_array_equal(cells, counted[i, j])
    assert found.sentence().startswith(
        f"{len(found)} pairs of spins never take one of the four joint values (first: spin "
    )
    assert "(b)" in found.sentence(("b",) * 10)
    assert empty_pairs(np.zeros(2), np.eye(2)).sentence() == ""


def test_without_fields_a_state_and_its_inverse_are_one():
    second = np.array([[1.0, 1.0, 0.2], [1.0, 1.0, 0.2], [0.2, 0.2, 1.0]])
    found = empty_pairs(np.array([0.5, 0.5, 0.0]), second, fit_fields=False)
    np.testing.assert_array_equal(found.pairs, [[0, 1]])
    np.testing.assert_array_equal(found.cells, [[False, True, True, False]])


def test_states_of_given_moments():
    assert both_below(np.zeros(1), np.zeros(1), np.array([0.5]))[0] == pytest.approx(1 / 3, abs=1e-9)
    rng = np.random.default_rng(0)
    spins = np.sign(rng.standard_normal((20_000, 5)) @ (np.eye(5) + 0.4) - 1.2)
    means, second = spins.mean(axis=0), spins.T @ spins / len(spins)
    drawn = dichotomised_gaussian(means, second, 20_000, rng).astype(float)
    # differences of moments of 20 000 rows: 5 sigma of at most 1 / sqrt(20 000)
    np.testing.assert_allclose(drawn.mean(axis=0), means, atol=0.035)
    np.testing.assert_allclose(drawn.T @ drawn / 20_000, second, atol=0.035)


def test_combinations_of_spins_that_are_fixed():
    states = np.array([(a, b, c, d) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1) for d in (-1, 1)])
    free = (states.mean(axis=0), states.T @ states / len(states))
    assert not fixed_pairs(*free).any()
    # two of four up always: the sum is 0, and every pair takes all four values
    balanced = states[states.sum(axis=1) == 0]
    means, second = balanced.mean(axis=0), balanced.T @ balanced / len(balanced)
    assert len(empty_pairs(means, second)) == 0
    assert fixed_pairs(means, second).any()
    assert fixed_pairs(means, second, fit_fields=False).any()
    # three of four up always: the sum is 2, which only fields can favour
    three = states[states.sum(axis=1) == 2]
    means, second = three.mean(axis=0), three.T @ three / len(three)
    assert fixed_pairs(means, second).any()
    assert not fixed_pairs(means, second, fit_fields=False).any()
