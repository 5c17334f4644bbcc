"""Intervals of pairs with few coincidences against numbers that can be written down."""

import numpy as np
import pytest
from scipy import stats

from infer.statistics.few_coincidences import FewCoincidences, few_coincidences


def test_empty_cells_bound_from_one_side():
    counts = np.array([[0, 40, 60, 1900], [40, 0, 60, 1900], [40, 60, 0, 1900], [5, 40, 60, 0]], dtype=float)
    found = FewCoincidences(np.array([[0, 1]] * 4), counts, True)
    lower, upper = found.interval(0.95)
    np.testing.assert_array_equal(np.isinf(lower), [True, False, False, True])
    np.testing.assert_array_equal(np.isinf(upper), [False, True, True, False])
    assert np.isnan(found.std()).all()


def test_ends_of_an_even_table_without_fields():
    """20 of 40 rows agree: at an end 2 log L falls by the quantile of chi square for half a row more that agrees."""
    found = FewCoincidences(np.array([[0, 1]]), np.full((1, 4), 10.0), False)
    lower, upper = found.interval(0.95)
    best = np.log(20.5 / 19.5) / 2

    def likelihood(coupling):
        return -20.5 * np.logaddexp(0, -2 * coupling) - 19.5 * np.logaddexp(0, 2 * coupling)

    ratio = likelihood(best) - likelihood(upper)
    np.testing.assert_allclose(2 * ratio, stats.chi2.ppf(0.95, 1), rtol=1e-6)
    np.testing.assert_allclose(lower, -upper, rtol=1e-9)


def test_pairs_without_coincidence_are_found():
    spins = np.where(np.random.default_rng(3).random((2000, 10)) < 0.02, 1.0, -1.0)
    found = few_coincidences(spins.mean(axis=0), spins.T @ spins / 2000, 2000.0, True)
    active = (spins > 0).astype(int)
    together = active.T @ active
    assert len(found.pairs) == 45  # 0.8 coincidences are expected of each
    np.testing.assert_array_equal(found.empty, together[tuple(found.pairs.T)] == 0)
    assert np.isnan(found.std()[found.empty]).all()


def exact_tails(counts, coupling):
    """P(as many or fewer), P(as many or more) coincidences given the margins, for a coupling (Fisher 1935)."""
    a, b, c, d = map(int, counts)
    distribution = stats.nchypergeom_fisher(a + b + c + d, a + b, a + c, np.exp(4 * coupling))
    return distribution.cdf(a), distribution.sf(a - 1)


def test_ends_are_near_those_of_the_exact_conditional_test():
    """At an end the exact probability of such a table or a more extreme one is 2.5 %, here within a factor of two."""
    tables = np.array([[0, 40, 60, 1900], [1, 40, 60, 1900], [4, 40, 60, 1900], [9, 5, 60, 1900], [60, 3, 0, 50.0]])
    lower, upper = FewCoincidences(np.zeros((5, 2), dtype=int), tables, True).interval(0.95)
    np.testing.assert_array_equal(np.isfinite(lower), [False, True, True, True, True])
    np.testing.assert_array_equal(np.isfinite(upper), [True, True, True, True, False])
    for table, low, high in zip(tables, lower, upper, strict=True):
        if np.isfinite(high):
            assert 0.0125 < exact_tails(table, high)[0] < 0.05
        if np.isfinite(low):
            # of one coincidence the lower end is more careful: 0.4 % instead of 2.5 %
            assert 0.002 < exact_tails(table, low)[1] < 0.05


def test_penalised_couplings_of_tables_solve_their_equation():
    counts = np.array([[0, 40, 60, 1900], [3, 40, 60, 1900], [700, 40, 60, 1200.0]])
    found = FewCoincidences(np.zeros((3, 2), dtype=int), counts, True)
    best = found.best(ridge=1.0)
    step = 1e-4
    slopes = (found._profile(best + step, counts) - found._profile(best - step, counts)) / (2 * step)
    np.testing.assert_allclose(slopes, best, atol=1e-5)
    np.testing.assert_allclose(found.best()[1:], found.best(added=1e-12)[1:])


def test_errors_of_tables_are_the_inverse_curvature_of_their_likelihood():
    counts = np.array([[10, 20, 30, 40], [7, 7, 1, 900.0]])
    found = FewCoincidences(np.zeros((2, 2), dtype=int), counts, True, [1.0, 0.5])
    expected = np.sqrt([(1 / 10 + 1 / 20 + 1 / 30 + 1 / 40) / 16, 2 * (2 / 7 + 1 + 1 / 900) / 16])
    np.testing.assert_allclose(found.std(), expected, rtol=1e-12)
    # the curvature of the profile likelihood at its best, by differences
    best = found.best()[:1]
    step, table = 1e-3, counts[:1]
    profile = [float(found._profile(best + change, table)[0]) for change in (-step, 0.0, step)]
    assert found.std()[0] == pytest.approx(step / np.sqrt(2 * profile[1] - profile[0] - profile[2]), rel=1e-4)


def test_pairs_count_as_rare_by_their_independent_rows():
    """Two independent spins, active in 20 % of 2000 rows: 80 coincidences, worth 8 where ten rows count as one."""
    means, second = np.array([-0.6, -0.6]), np.array([[1.0, 0.36], [0.36, 1.0]])
    assert len(few_coincidences(means, second, 2000, True).pairs) == 0
    found = few_coincidences(means, second, 2000, True, np.full((2, 2), 0.1))
    assert found.pairs.tolist() == [[0, 1]]
    np.testing.assert_allclose(found.independent_counts, [[8, 32, 32, 128]])
