"""Empty cells of pair tables, from moments alone, against counting."""

import numpy as np
import pytest

from infer.statistics.dichotomised import both_below, dichotomised_gaussian
from infer.statistics.pair_tables import SIGNS, empty_pairs, empty_triples, fixed_pairs, open_pairs, pair_shares


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


def test_empty_triples_are_those_of_counting():
    rng = np.random.default_rng(4)
    spins = rng.choice([-1, 1], size=(60, 8))
    spins[:, 7] = spins[:, 6]  # a pair that always agrees: no triple of its own
    means, second = spins.mean(axis=0), spins.T @ spins / 60
    counted = []
    for i in range(8):
        for j in range(i + 1, 8):
            for k in range(j + 1, 8):
                both = spins[:, i] * spins[:, j], spins[:, i] * spins[:, k]
                for a, b in SIGNS:
                    if {6, 7} - {i, j, k} and not np.any((both[0] == a) & (both[1] == b)):
                        counted.append((i, j, k, a, b))
    found = empty_triples(second)
    assert {tuple(row) for row in found.tolist()} == set(counted)
    assert len(open_pairs(means, second).empty) == 1


def test_infinite_couplings_are_put_into_words():
    states = np.array([(a, b, c, d) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1) for d in (-1, 1)])

    def of(rows):
        return open_pairs(rows.mean(axis=0), rows.T @ rows / len(rows))

    assert not of(states)
    assert of(states).sentence() == ""
    never = of(states[~((states[:, 0] == states[:, 1]) & (states[:, 0] == -states[:, 3]))])
    np.testing.assert_array_equal(never.triples, [[0, 1, 3, 1, -1]])
    assert never.beyond_tables.sum() == 6
    assert never.sentence(np.array([0, 2, 3, 4]), tuple("abcde")).endswith(
        "(first: spin 0 (a), spin 2 (c), spin 4 (e) at +1, +1, -1 or the inverse)"
    )
    six = np.array([[1 if k >> spin & 1 else -1 for spin in range(6)] for k in range(64)])
    balanced = of(six[six.sum(axis=1) == 0])
    assert len(balanced.triples) == 0
    assert balanced.sentence().startswith("combinations of spins have the same value in all rows (of spin 0, spin 1, ")
    assert of(states[(states[:, 0] > 0) | (states[:, 2] > 0)]).sentence().startswith("1 pair of spins never takes")
