"""Intervals of pairs with few coincidences against numbers that can be written down."""

import numpy as np
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
    """20 of 40 rows agree: the log-likelihood ratio at an end is half the quantile of chi square."""
    found = FewCoincidences(np.array([[0, 1]]), np.full((1, 4), 10.0), False)
    lower, upper = found.interval(0.95)
    ratio = 20 * np.logaddexp(0, 2 * upper) + 20 * np.logaddexp(0, -2 * upper) - 40 * np.log(2)
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
