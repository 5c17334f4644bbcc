from fractions import Fraction

import numpy as np
import pytest

from simulate import PatternCouplings, dreaming, hebbian, pseudo_inverse, random_patterns
from simulate.memory import lowest_rate, pattern_correlation


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


@pytest.fixture
def patterns():
    return random_patterns(6, 40, seed=2)


def test_hebbian_formula(patterns):
    xi = patterns.astype(float)
    np.testing.assert_allclose(hebbian(patterns), off_diagonal(xi.T @ xi / 40), atol=1e-15)


@pytest.mark.parametrize("rate", [-0.2, 0.0, 0.3, 2.0, 50.0])
def test_dreaming_formula(patterns, rate):
    xi = patterns.astype(float)
    kernel = (1 + rate) * np.linalg.inv(np.eye(6) + rate * xi @ xi.T / 40)
    np.testing.assert_allclose(dreaming(patterns, rate), off_diagonal(xi.T @ kernel @ xi / 40), atol=1e-13)


@pytest.mark.parametrize("rate", [-0.2, 0.3, 2.0])
def test_dreaming_in_terms_of_spin_correlations(patterns, rate):
    # off the diagonal the family is -((1 + l) / l) (I + l G)^-1 with G = xi^T xi / N
    gram = patterns.T.astype(float) @ patterns / 40
    other = -(1 + rate) / rate * np.linalg.inv(np.eye(40) + rate * gram)
    np.testing.assert_allclose(dreaming(patterns, rate), off_diagonal(other), atol=1e-12)


def test_dreaming_runs_from_hebbian_to_projector(patterns):
    np.testing.assert_allclose(dreaming(patterns, 0.0), hebbian(patterns), atol=1e-15)
    np.testing.assert_allclose(dreaming(patterns, 1e10), pseudo_inverse(patterns), atol=1e-8)


def exact_dreaming(patterns, rate):
    """(1 + rate) G (I + rate G)^-1 off the diagonal, in fractions."""
    n = patterns.shape[1]
    gram = [[Fraction(int(patterns[:, i] @ patterns[:, j]), n) for j in range(n)] for i in range(n)]
    rows = [
        [rate * gram[i][j] + (i == j) for j in range(n)] + [(1 + rate) * gram[i][j] for j in range(n)] for i in range(n)
    ]
    for k in range(n):  # (I + rate G)^-1 (1 + rate) G by elimination, pivots being positive
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(n):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return off_diagonal(np.array([[float(value) for value in row[n:]] for row in rows]))


@pytest.mark.parametrize("rate", [10**3, 10**6, 10**9, 10**16])
@pytest.mark.parametrize("case", ["more patterns than spins", "fewer", "dependent"])
def test_large_rates_against_fractions(case, rate):
    # the kernel (I + rate C)^-1 was wrong by 9e-5 at 1e6 and by a factor of 80 at 1e9 where patterns outnumber spins,
    # and had no inverse at 1e16 where they depend on each other
    patterns = random_patterns(4 if case == "fewer" else 18, 9, seed=2)
    if case == "dependent":
        patterns = np.vstack([patterns[:3], -patterns[:2], patterns[1:2]])
    expected = exact_dreaming(patterns, Fraction(rate))
    low_rank = PatternCouplings(patterns, float(rate))
    scale = abs(expected).max()
    np.testing.assert_allclose(dreaming(patterns, float(rate)), expected, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(low_rank @ np.eye(9), expected, rtol=0, atol=1e-11 * scale)
    if case != "more patterns than spins":
        assert np.linalg.eigvalsh(low_rank.kernel)[0] > 0  # block Gibbs sampling takes its root


def test_projector_of_patterns_that_span_all_spins_is_the_identity():
    assert not pseudo_inverse(random_patterns(30, 12, seed=0)).any()


def test_pseudo_inverse_makes_every_pattern_a_fixed_point_also_when_patterns_depend_on_each_other(patterns):
    twice = np.vstack([patterns, patterns[:2], -patterns[3:4]])
    np.testing.assert_allclose(pseudo_inverse(twice), pseudo_inverse(patterns), atol=1e-12)
    projector = pseudo_inverse(patterns)
    diagonal = 1 - (patterns @ projector * patterns)  # (P xi = xi, so the missing diagonal is 1 - s h)
    np.testing.assert_allclose(diagonal, np.broadcast_to(diagonal[0], diagonal.shape), atol=1e-12)


def test_rate_is_bounded_below_by_the_largest_eigenvalue(patterns):
    bound = lowest_rate(patterns)
    assert bound == pytest.approx(-1 / np.linalg.eigvalsh(pattern_correlation(patterns))[-1])
    dreaming(patterns, bound + 1e-6)
    for rate in (bound, bound - 0.1):
        with pytest.raises(ValueError, match=r"rate must be above -1 / max eig\(C\)"):
            dreaming(patterns, rate)


@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_pattern_couplings_are_the_matrix(patterns, rate):
    low_rank = PatternCouplings(patterns, rate)
    matrix = dreaming(patterns, rate)
    assert low_rank.shape == (40, 40)
    np.testing.assert_array_equal(np.asarray(low_rank), matrix)
    states = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_allclose(low_rank @ states, matrix @ states, atol=1e-12)
    np.testing.assert_allclose(low_rank @ states[:, 0], matrix @ states[:, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([[1, -1], [0, 1]], r"patterns\[1, 0\] = 0: patterns hold only"),
        ([[1.0, np.nan]], r"patterns\[0, 1\] = nan"),
        ([1, -1], "must be an array"),
        (np.empty((0, 3)), "not empty"),
        ([["a", "b"]], "must hold the numbers"),
    ],
)
def test_bad_patterns_are_named(patterns, message):
    for make in (hebbian, pseudo_inverse, PatternCouplings):
        with pytest.raises(ValueError, match=message):
            make(patterns)
