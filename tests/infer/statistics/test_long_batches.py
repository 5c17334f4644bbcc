"""Long-run variances of slow rows: slow waves against exact variances of autoregressive processes."""

import numpy as np
import pytest

from infer.statistics.batches import batch_labels, batch_roots
from infer.statistics.long_batches import LongBatches, batch_times, long_batches, slow_waves, time_of_directions


def kept(rng, n_rows, n_spins, time):
    """Rows of which each spin is redrawn with a probability that makes its autocorrelation time."""
    fresh = rng.choice([-1, 1], size=(n_rows, n_spins)).astype(np.int8)
    new = rng.random((n_rows, n_spins)) < 2.0 / (time + 1.0)
    new[0] = True
    last = np.maximum.accumulate(np.where(new, np.arange(n_rows)[:, None], 0), axis=0)
    return np.take_along_axis(fresh, last, axis=0)


def test_waves_are_orthonormal_for_the_weights_and_leave_out_the_mean():
    shares = np.random.default_rng(0).random(40)
    shares[3] = 0.0
    shares /= shares.sum()
    chains = np.repeat([0, 1, 2], [25, 10, 5])
    waves = slow_waves(shares, chains, 15)
    assert waves.shape == (14, 40)
    np.testing.assert_allclose(waves @ shares, 0.0, atol=1e-14)
    np.testing.assert_allclose((waves * shares) @ waves.T, np.eye(14) / 14, atol=1e-14)
    assert not waves[:, 3].any()
    # as many waves as batches: nothing but their scatter about the mean
    every = slow_waves(np.full(9, 1 / 9), None, 9)
    values = np.random.default_rng(1).normal(size=9) / 9
    assert np.sum((every @ values) ** 2) == pytest.approx(np.sum(batch_roots(values, np.full(9, 1 / 9))[0] ** 2))


def expected_variance(roots_of, n_rows, time, n_batches):
    """Mean of the squares of roots of batch sums over all autoregressive records, and the variance of their mean."""
    phi = (time - 1.0) / (time + 1.0)
    covariance = phi ** np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))
    starts = np.arange(n_batches) * (n_rows // n_batches)
    sums = np.add.reduceat(np.add.reduceat(covariance, starts, axis=0), starts, axis=1) / n_rows**2
    matrix = roots_of(np.eye(n_batches), np.full(n_batches, 1.0 / n_batches))
    return np.trace(matrix @ sums @ matrix.T), covariance.sum() / n_rows**2


@pytest.mark.parametrize(
    ("times", "n_pieces", "lost", "lost_by_batches"), [(40, 12, 0.09, 0.15), (200, 20, 0.03, 0.045)]
)
def test_slow_waves_lose_less_of_the_variance_than_batches(times, n_pieces, lost, lost_by_batches):
    """Exact expectations, for records of 40 and of 200 autocorrelation times."""
    n_rows, n_batches = 2000, 100
    time = n_rows / times
    waves, truth = expected_variance(
        lambda sums, shares: LongBatches(np.arange(n_batches), n_pieces).roots(sums, shares)[0], n_rows, time, n_batches
    )
    batches, _ = expected_variance(lambda sums, shares: batch_roots(sums, shares)[0], n_rows, time, n_pieces)
    assert 1.0 - lost < waves / truth < 1.02
    assert batches / truth < 1.0 - lost_by_batches


def test_slow_rows_have_waves_and_fast_ones_batches():
    rng = np.random.default_rng(2)
    fast = long_batches(kept(rng, 4000, 6, 1.0))
    np.testing.assert_array_equal(fast.labels, batch_labels(4000))
    assert (fast.n_pieces, fast.time) == (None, 1.0)
    slow = long_batches(kept(rng, 4000, 6, 17.0))
    np.testing.assert_array_equal(slow.labels, batch_labels(4000))
    assert 12 <= slow.n_pieces <= 31
    # 63 batches know a time to 18 %, the mean of six columns to 8 %; a factor of 3 in doubt
    assert slow.time == pytest.approx(17.0, rel=0.25)
    # short chains count as they are, whole
    chains = np.repeat(np.arange(50), 80)
    whole = long_batches(kept(rng, 4000, 6, 17.0), chains)
    np.testing.assert_array_equal(whole.labels, chains)
    assert whole.n_pieces is None


def test_a_slow_direction_that_all_spins_have_in_common_counts_once():
    """An overlap that flips slowly, in ten spins that follow it with their own noise."""
    rng = np.random.default_rng(3)
    overlap = kept(rng, 8000, 1, 100.0)
    spins = overlap * np.where(rng.random((8000, 10)) < 0.2, -1, 1)
    labels = batch_labels(8000)
    assert batch_times(spins, labels).mean() > 20.0  # each spin follows the overlap
    # nine directions at 1 and one at about 0.78 x 100: about 9, known to 20 % from 89 batches
    assert time_of_directions(spins, labels) == pytest.approx((9 + 78) / 10, rel=0.6)
    # two chains that stay at opposite overlaps do not remember inside themselves
    apart = np.repeat([1, -1], 4000)[:, None] * np.where(rng.random((8000, 10)) < 0.2, -1, 1)
    chains = np.repeat([0, 1], 4000)
    assert time_of_directions(apart, batch_labels(8000, chains), None, chains) < 1.5
    assert time_of_directions(apart, batch_labels(8000)) > 3.0


def test_waves_of_one_chain_are_cosines():
    t = np.arange(30) + 0.5
    found = slow_waves(np.full(30, 1 / 30), None, 6)
    expected = np.sqrt(2 / 5) * np.cos(np.pi * np.arange(1, 6)[:, None] * t / 30)
    np.testing.assert_allclose(found * np.sign(found[:, :1]), expected, atol=1e-12)


def test_times_are_right_where_batches_are_as_short_as_they():
    """Batches of 20 rows for a time of 17: their means alone would say 11."""
    values = kept(np.random.default_rng(4), 8000, 30, 17.0)
    # 400 batches know a time to 7 % and a correlation to 0.05, 30 columns together to 2 %
    assert batch_times(values, batch_labels(8000, None, 400)).mean() == pytest.approx(17.0, rel=0.1)


def test_means_of_chains_cost_no_time():
    """Twenty chains of five batches each: deviations from their means are smaller by a fifth in variance."""
    chains = np.repeat(np.arange(20), 100)
    values = kept(np.random.default_rng(5), 2000, 40, 1.0)
    labels = batch_labels(2000, chains, 100)
    # 80 degrees of freedom of 40 columns: known to 2.5 %
    assert time_of_directions(values, labels, None, chains) == pytest.approx(1.0, abs=0.1)
