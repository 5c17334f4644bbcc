"""The dreaming family against its defining formula, and correlation matrices against plain numpy."""

import numpy as np
import pytest

from infer.model import symmetric_matrix
from infer.similarity.family import DreamingFamily, data_correlations, spin_moments
from simulate.couplings import dreaming, hebbian, pseudo_inverse


def random_patterns(n_patterns, n_spins, seed=0):
    return np.random.default_rng(seed).choice([-1, 1], size=(n_patterns, n_spins)).astype(np.int8)


def direct(G, rate):
    matrix = (1 + rate) * G @ np.linalg.inv(np.eye(len(G)) + rate * G)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def random_correlations(n_spins, seed=0):
    rows = np.random.default_rng(seed).normal(size=(3 * n_spins, n_spins)) @ np.random.default_rng(seed + 1).normal(
        size=(n_spins, n_spins)
    )
    return np.corrcoef(rows.T)


@pytest.mark.parametrize("n_patterns", [1, 7, 20, 33])
def test_family_of_patterns_is_the_formula(n_patterns):
    xi = random_patterns(n_patterns, 20)
    family = DreamingFamily.from_patterns(xi)
    G = xi.T.astype(float) @ xi / 20
    assert family.lower_bound == pytest.approx(-1 / np.linalg.eigvalsh(G)[-1], rel=1e-12)
    for rate in (0.9 * family.lower_bound, -0.1, 0.0, 0.3, 5.0, 1e4):
        np.testing.assert_allclose(family.couplings(rate), direct(G, rate), atol=1e-10)


@pytest.mark.parametrize("rate", [-0.2, 0.0, 0.064, 2.0])
def test_family_of_patterns_is_simulates_dreaming(rate):
    xi = random_patterns(12, 40)
    np.testing.assert_allclose(DreamingFamily.from_patterns(xi).couplings(rate), dreaming(xi, rate), atol=1e-12)


def test_limits_of_patterns():
    xi = random_patterns(12, 40)
    family = DreamingFamily.from_patterns(xi)
    np.testing.assert_allclose(family.couplings(0.0), hebbian(xi), atol=1e-13)
    np.testing.assert_allclose(family.couplings(np.inf), pseudo_inverse(xi), atol=1e-12)
    np.testing.assert_allclose(family.couplings(1e9), pseudo_inverse(xi), atol=1e-7)


def test_dependent_patterns_have_no_spurious_modes():
    xi = random_patterns(5, 30)
    doubled = np.vstack([xi, -xi[:2]])
    family = DreamingFamily.from_patterns(doubled)
    assert family.eigenvalues.size == 5
    np.testing.assert_allclose(family.couplings(0.7), dreaming(doubled, 0.7), atol=1e-12)
    # more patterns than spins of lower rank: the projector is the limit here too
    singular = DreamingFamily.from_patterns(np.tile(xi[:, :6], (3, 1)))
    np.testing.assert_allclose(singular.couplings(np.inf), singular.couplings(1e10), atol=1e-8)
    assert np.abs(singular.couplings(np.inf)).max() > 0.1


def test_family_of_correlations_is_the_formula():
    G = random_correlations(15)
    family = DreamingFamily.from_correlations(G)
    for rate in (0.9 * family.lower_bound, -0.05, 0.0, 1.0, 30.0):
        np.testing.assert_allclose(family.couplings(rate), direct(G, rate), atol=1e-10)
        if rate:
            inverse = -(1 + rate) / rate * np.linalg.inv(np.eye(15) + rate * G)
            np.fill_diagonal(inverse, 0.0)
            np.testing.assert_allclose(family.couplings(rate), inverse, atol=1e-10)


def test_correlations_at_large_rates_point_to_mean_field_couplings():
    G = random_correlations(15)
    family = DreamingFamily.from_correlations(G)
    mean_field = -np.linalg.inv(G)
    np.fill_diagonal(mean_field, 0.0)
    mean_field /= np.linalg.norm(mean_field)
    for rate in (1e9, 1e14, np.inf):
        direction = family.couplings_of(family.direction(rate))
        np.testing.assert_allclose(direction / np.linalg.norm(direction), mean_field, atol=1e-6)


def test_sums_over_modes_are_sums_over_pairs():
    rng = np.random.default_rng(3)
    A = rng.normal(size=(2, 20, 20))
    A = A + A.transpose(0, 2, 1)
    A[:, np.arange(20), np.arange(20)] = 0.0
    for family in (
        DreamingFamily.from_patterns(random_patterns(6, 20)),
        DreamingFamily.from_correlations(random_correlations(20)),
    ):
        f = family.factor(0.4) * family.direction(0.4)
        B = family.couplings(0.4)
        np.testing.assert_allclose(family.project(A) @ f, np.einsum("rij,ij->r", A, B), atol=1e-10)
        assert f @ family.gram @ f == pytest.approx(np.sum(B**2), rel=1e-10)
        assert family.sums @ f == pytest.approx(B.sum(), rel=1e-9)


def test_rate_at_or_below_the_bound_is_refused():
    family = DreamingFamily.from_patterns(random_patterns(6, 20))
    for rate in (family.lower_bound, 2 * family.lower_bound, np.nan):
        with pytest.raises(ValueError, match="open bound"):
            family.couplings(rate)


def test_orthogonal_patterns_have_no_best_rate():
    xi = np.array([[1, 1, 1, 1], [1, -1, 1, -1]])
    assert DreamingFamily.from_patterns(xi).proportional
    assert DreamingFamily.from_patterns(random_patterns(1, 10)).proportional
    assert not DreamingFamily.from_patterns(random_patterns(2, 11)).proportional
    assert not DreamingFamily.from_correlations(random_correlations(8)).proportional


def test_correlations_with_counts_are_those_of_repeated_rows():
    rng = np.random.default_rng(0)
    spins = np.where(rng.random((200, 7)) < [0.5, 0.6, 0.9, 0.3, 0.5, 0.2, 0.7], 1, -1).astype(np.int8)
    counts = rng.integers(0, 5, size=200)
    repeated = np.repeat(spins, counts, axis=0)
    np.testing.assert_allclose(data_correlations(spins, counts), np.corrcoef(repeated.T), atol=1e-12)
    np.testing.assert_allclose(data_correlations(repeated, chunk_size=17), np.corrcoef(repeated.T), atol=1e-12)
    means, second = spin_moments(spins, counts * 10_000_000)  # beyond what float32 counts exactly
    np.testing.assert_allclose(means, repeated.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(second, repeated.T.astype(float) @ repeated / len(repeated), atol=1e-12)


def test_constant_spin_has_no_correlation():
    spins = np.random.default_rng(0).choice([-1, 1], size=(50, 4)).astype(np.int8)
    spins[:, 2] = 1
    matrix = data_correlations(spins)
    np.testing.assert_array_equal(matrix[2], [0, 0, 1, 0])
    np.testing.assert_array_equal(np.diag(matrix), 1.0)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"square matrix"),
        ([[0, np.nan], [np.nan, 0]], r"entry \[0, 1\] is nan"),
        ([[0, 1.0], [2.0, 0]], r"couplings\[0, 1\] = 1 but couplings\[1, 0\] = 2"),
        ([["a", "b"], ["c", "d"]], r"real numbers"),
    ],
)
def test_bad_matrices_are_named(matrix, message):
    with pytest.raises(ValueError, match=message):
        symmetric_matrix(matrix, "couplings", diagonal=True)


def test_bad_references_are_named():
    with pytest.raises(ValueError, match="negative eigenvalue"):
        DreamingFamily.from_correlations([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"patterns\[0, 1\] = 3"):
        DreamingFamily.from_patterns([[1, 3]])
    spins = np.ones((5, 2))
    with pytest.raises(ValueError, match="counts: row 1 has -1"):
        data_correlations(spins, [1, -1, 1, 1, 1])
    with pytest.raises(ValueError, match=r"counts: expected shape \(5,\)"):
        data_correlations(spins, [1])
    with pytest.raises(ValueError, match="at least two"):
        data_correlations(spins[:1])
