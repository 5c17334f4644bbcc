"""Sums of indicators against plain numpy, and what three spins do beyond their pairs against least squares."""

import itertools

import numpy as np
import pytest

from infer.diagnosis.indicators import (
    IndicatorSums,
    SomePairs,
    above_pairs,
    apply_above_pairs,
    indicator_sums,
    pooled,
    rarer_state,
)
from infer.statistics.moments import choose_triples

TRIPLES = choose_triples(7, 100, np.random.SeedSequence(0))


def rows_of(n=1000, seed=0):
    share = np.linspace(0.05, 0.9, 7)
    return np.where(np.random.default_rng(seed).random((n, 7)) < share, 1, -1).astype(np.int8)


def test_the_rarer_state_is_rarer():
    assert rarer_state(np.array([-0.9, 0.9, 0.0, 0.1])).tolist() == [1, -1, 1, 1]


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_plain_numpy(weighted):
    rows = rows_of()
    rare = rarer_state(rows.mean(axis=0))
    weight = np.random.default_rng(1).random(1000) if weighted else None
    parts = [slice(0, 130), slice(130, 1000)]
    found = indicator_sums(rows, rare, TRIPLES, parts, weight)
    x = (rows == rare).astype(float)
    w = np.ones(1000) if weight is None else weight
    for p, part in enumerate(parts):
        own, share = x[part], w[part]
        np.testing.assert_allclose(found.sizes[p], share.sum())
        np.testing.assert_allclose(found.first[p], share @ own)
        np.testing.assert_allclose(found.second[p], (own * share[:, None]).T @ own)
        i, j, k = TRIPLES.T
        np.testing.assert_allclose(found.third[p], share @ (own[:, i] * own[:, j] * own[:, k]))
    if not weighted:
        assert all(np.array_equal(array, np.rint(array)) for array in (found.first, found.second, found.third))


@pytest.mark.parametrize("weighted", [False, True])
def test_some_pairs_are_counted_as_all_are(weighted):
    rows = rows_of()
    rare, parts = rarer_state(rows.mean(axis=0)), [slice(0, 130), slice(130, 1000)]
    weight = np.random.default_rng(1).random(1000) if weighted else None
    triples = TRIPLES[::4]
    i, j, k = triples.T
    some = SomePairs.of(np.concatenate([np.column_stack(pair) for pair in ((i, j), (k, i), (j, k))]), 7)
    assert len(some.pairs) < 21
    every = indicator_sums(rows, rare, triples, parts, weight)
    found = indicator_sums(rows, rare, triples, parts, weight, some)
    assert found.second.shape == (2, len(some.pairs))
    np.testing.assert_allclose(found.of_pairs(j, i), every.second[:, i, j], rtol=1e-12)
    both = pooled([found, found])
    np.testing.assert_allclose(both.of_pairs(i, k), 2.0 * every.total().second[:, i, k], rtol=1e-12)
    ours, expected = above_pairs(found.total(), triples, 0.5), above_pairs(every.total(), triples, 0.5)
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(
        apply_above_pairs(found, triples, ours[0]), apply_above_pairs(every, triples, ours[0]), atol=1e-8
    )


def test_three_spins_beyond_their_pairs_are_the_residual_of_least_squares():
    # weights of the eight states of three indicators; the regression is on all functions of one or two of them
    p = np.random.default_rng(2).dirichlet(np.ones(8))
    x = np.array([[(k >> b) & 1 for b in range(3)] for k in range(8)], dtype=float)
    second = np.einsum("k,ki,kj->ij", p, x, x)[None]
    sums = IndicatorSums(np.array([1.0]), (p @ x)[None], second, np.array([[p[7]]]))
    triple = np.array([[0, 1, 2]])
    coefficients, variance = above_pairs(sums, triple, 0.0)
    features = np.column_stack([np.ones(8), x, *(x[:, i] * x[:, j] for i, j in itertools.combinations(range(3), 2))])
    target, root = x.prod(axis=1), np.sqrt(p)
    left = target - features @ np.linalg.lstsq(features * root[:, None], target * root, rcond=None)[0]
    np.testing.assert_allclose(variance[0], p @ left**2, rtol=1e-9)
    for k in range(8):
        one = IndicatorSums(np.array([1.0]), x[k][None], np.outer(x[k], x[k])[None], np.array([[target[k]]]))
        np.testing.assert_allclose(apply_above_pairs(one, triple, coefficients)[0, 0], left[k], atol=1e-9)
