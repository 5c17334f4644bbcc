"""Errors and intervals of pairs that rarely coincide, against the formulas written out for one pair."""

from dataclasses import replace

import numpy as np
import pytest

from infer import PseudoLikelihood
from infer.estimators.batch_errors import RowBatches, growth, pair_errors
from infer.estimators.pseudolikelihood.influence import batch_influence
from infer.estimators.rare_pairs import RarePairs, rare_pairs
from infer.estimators.rows import SpinRows
from infer.samples import Samples
from infer.statistics.few_coincidences import FewCoincidences
from infer.statistics.long_batches import LongBatches
from tests import exact

MEANS = np.array([-0.9, -0.5, 0.0])
TABLE = FewCoincidences(np.array([[0, 1]]), np.array([[3.0, 97, 247, 1653]]), True)


def pair(value, n_spins=3):
    """A symmetric matrix with one entry for spins 0 and 1, and 0.02 elsewhere."""
    matrix = np.full((n_spins, n_spins), 0.02)
    np.fill_diagonal(matrix, 0.0)
    matrix[0, 1] = matrix[1, 0] = value
    return matrix


@pytest.mark.parametrize("coupling", [-0.3, 0.3])
def test_errors_reach_to_the_end_of_the_interval_on_the_side_of_zero(coupling):
    rare = RarePairs(TABLE, np.zeros((3, 3), dtype=bool), MEANS, np.zeros(1))
    std, fields = rare.errors(pair(coupling), pair(0.05), np.array([0.1, 0.2, 0.3]))
    (low,), (high,) = TABLE.interval(0.95)
    best = TABLE.best()[0]
    near = (best - low if coupling > 0 else high - best) / 1.959964
    assert near > TABLE.std()[0] or coupling < 0
    expected = max(near, TABLE.std()[0])
    np.testing.assert_allclose(std, pair(expected), rtol=1e-6)
    # each field has the new error of its coupling, times the mean of the other spin
    more = expected**2 - 0.05**2
    np.testing.assert_allclose(fields, np.sqrt([0.1**2 + 0.25 * more, 0.2**2 + 0.81 * more, 0.3**2]), rtol=1e-6)
    # errors of the fit that are larger stay as they are
    np.testing.assert_array_equal(rare.errors(pair(coupling), pair(2.0), np.ones(3))[0], pair(2.0))


def test_intervals_are_those_of_the_table_moved_and_widened():
    rare = RarePairs(TABLE, np.zeros((3, 3), dtype=bool), MEANS, np.array([0.1]))
    (low,), (high,) = TABLE.interval(0.9)
    best = TABLE.best()[0]
    here, ends = pair(best + 0.1), (pair(0.0) - 1.0, pair(0.0) + 1.0)
    std = rare.errors(here, pair(0.0), np.ones(3))[0]
    assert std[0, 1] == 0.0  # held at zero by a sparse penalty
    std = rare.errors(here, pair(0.01), np.ones(3))[0]
    for factor in (1.0, 2.0):
        lower, upper = rare.interval(here, factor * std, 0.9, *ends)
        assert lower[0, 1] == pytest.approx(best + 0.1 - factor * (best - low))
        assert upper[0, 1] == pytest.approx(best + 0.1 + factor * (high - best))
        assert (lower[0, 2], upper[0, 2]) == (ends[0][0, 2], ends[1][0, 2])


def test_couplings_are_moved_by_what_other_spins_explain():
    rng = np.random.default_rng(0)
    spins = np.where(rng.random((1500, 4)) < 0.06, 1, -1)
    prepared = PseudoLikelihood(fit_fields=True).prepare(spins)
    couplings = exact.random_couplings(4, 0.3, 1)
    found = rare_pairs(prepared, couplings, 1 / 1500, 0.0)
    i, j = found.few.pairs.T
    assert len(i) > 2
    np.testing.assert_allclose(found.shift, couplings[i, j] - found.few.best(1.0), atol=1e-9)


def test_residuals_shrink_with_the_number_of_independent_rows():
    couplings = exact.random_couplings(5, 0.5, 2)
    samples = Samples.of(exact.draw(couplings, 400, seed=2))
    rows, batches = SpinRows(samples.spins, None), RowBatches.of(samples)
    arguments = couplings, np.zeros(5), True, 0.0, 400.0
    plain, slow = (pair_errors(rows, replace(batches, time=time), *arguments) for time in (1.0, 10.0))
    ratio = growth(3, 40.0) / growth(3, 400.0)
    assert ratio == pytest.approx(np.sqrt((1 - 3 / 400) / (1 - 3 / 40)))
    for one, other in zip(plain, slow, strict=True):
        np.testing.assert_allclose(other, ratio * one, rtol=1e-12)

    def errors(time):
        class Rows(SpinRows):
            def batches(self, chains):
                return replace(super().batches(chains), time=time)

        found = batch_influence(
            Rows(samples.spins, None), couplings, np.zeros(5), None, 400.0, None, np.arange(5), 0.0, True
        )
        assert found.time == time
        return found.std()[1]

    np.testing.assert_allclose(errors(10.0), errors(1.0) * np.sqrt((1 - 4 / 400) / (1 - 4 / 40)), rtol=1e-5)
    assert LongBatches(np.zeros(3, dtype=np.int64)).time == 1.0
