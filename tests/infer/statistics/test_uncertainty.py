"""Error bars against closed forms of first-order autoregressive chains."""

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from infer.statistics import uncertainty
from infer.statistics.long_batches import batch_times, long_batch_labels


def autoregressive(phi, shape, seed, sigma=1.0):
    """Stationary x_t = phi x_{t-1} + noise along axis 1, with variance sigma^2."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=shape) * sigma * np.sqrt(1 - phi**2)
    start = rng.normal(size=(shape[0], 1)) * sigma
    return lfilter([1.0], [1.0, -phi], noise, axis=1, zi=phi * start)[0]


def long_run_variance(phi, sigma=1.0):
    return sigma**2 * (1 + phi) / (1 - phi)


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[1000], [300, 300, 300], [10, 1000, 57], [20, 1, 1], [1, 5000]])
@pytest.mark.parametrize("n_batches", [None, 3, 20])
def test_batches_are_contiguous_nearly_equal_and_inside_chains(lengths, n_batches):
    n_rows = sum(lengths)
    chains = np.repeat(np.arange(len(lengths))[::-1], lengths)  # labels need not be sorted
    labels = uncertainty.batch_labels(n_rows, chains, n_batches)
    assert labels.dtype == np.int64
    assert labels.shape == (n_rows,)
    steps = np.diff(labels)
    assert labels[0] == 0
    assert set(np.unique(steps)) <= {0, 1}
    assert np.all(steps[chains[1:] != chains[:-1]] == 1)
    sizes = np.bincount(labels)
    for chain in np.unique(chains):
        within = sizes[np.unique(labels[chains == chain])]
        assert within.max() - within.min() <= 1
    if n_batches is not None:
        assert len(sizes) == max(n_batches, len(lengths))


def test_default_number_of_batches():
    assert uncertainty.batch_labels(90_000).max() + 1 == 100
    assert uncertainty.batch_labels(400).max() + 1 == 20
    assert uncertainty.batch_labels(1).tolist() == [0]
    many_chains = np.repeat(np.arange(500), 4)
    assert np.array_equal(uncertainty.batch_labels(2000, many_chains), many_chains)


def test_bad_chains_and_batches_are_named():
    with pytest.raises(ValueError, match="n_batches must lie between 1 and the number of rows"):
        uncertainty.batch_labels(10, n_batches=11)
    with pytest.raises(ValueError, match="rows of chain 0 are not contiguous"):
        uncertainty.batch_labels(4, np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="one label for each of the 4 rows"):
        uncertainty.batch_labels(4, np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="no rows"):
        uncertainty.batch_labels(0)
    with pytest.raises(ValueError, match="at least two batches"):
        uncertainty.batch_means_covariance(np.arange(5.0), np.zeros(5, dtype=int))
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        uncertainty.student_quantile(95, 10)


def test_covariance_is_the_textbook_one_for_batches_of_one_row():
    values = np.random.default_rng(0).normal(size=(50, 3))
    result = uncertainty.batch_means_covariance(values, np.arange(50))
    np.testing.assert_allclose(result.mean, values.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(result.covariance, np.cov(values.T) / 50, rtol=1e-12)
    np.testing.assert_allclose(result.long_run, np.cov(values.T), rtol=1e-12)
    np.testing.assert_allclose(result.std, values.std(axis=0, ddof=1) / np.sqrt(50), rtol=1e-12)
    assert result.degrees_of_freedom == pytest.approx(49)
    assert result.quantile(0.95) == pytest.approx(2.00958, abs=1e-5)  # Student's t, 49 degrees of freedom


def test_covariance_of_unequal_batches_is_unbiased():
    # independent rows in batches of 1 to 40 rows: E[covariance] = 1 / n; mean over 4000 repeats known to 0.5 %
    sizes = np.array([1, 2, 5, 10, 20, 40, 22])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = np.random.default_rng(1).normal(size=(len(labels), 4000)) + 3.0
    sums, weights = uncertainty.batch_sums(values, labels)
    result = uncertainty.covariance_from_batches(sums, weights)
    spread = np.diag(result.covariance) * len(labels)
    error = spread.std() / np.sqrt(4000)
    assert abs(spread.mean() - 1.0) < 4 * error  # false alarm 6e-5
    assert result.degrees_of_freedom == pytest.approx(100**2 / np.sum(sizes**2) - 1)
    # the effective degrees of freedom describe the scatter of the estimate: var = 2 / dof, here within 15 %
    assert spread.var() == pytest.approx(2 / result.degrees_of_freedom, rel=0.15)


def test_weights_are_relative_and_zero_weights_are_absent_rows():
    rng = np.random.default_rng(2)
    values, weight = rng.normal(size=(60, 2)), rng.integers(0, 3, size=60)
    labels = uncertainty.batch_labels(60, n_batches=6)
    result = uncertainty.batch_means_covariance(values, labels, weight)
    scaled = uncertainty.batch_means_covariance(values, labels, 7.5 * weight)
    repeated = uncertainty.batch_means_covariance(np.repeat(values, weight, axis=0), np.repeat(labels, weight))
    np.testing.assert_allclose(scaled.covariance, result.covariance, rtol=1e-12)
    np.testing.assert_allclose(repeated.covariance, result.covariance, rtol=1e-12)
    np.testing.assert_allclose(repeated.mean, result.mean, rtol=1e-12)


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_long_run_variance_of_autoregressive_chains(phi):
    # 4 chains of 5000 rows, 300 repeats; expected bias of batches of 200 rows: -tau-ish / 200
    data = autoregressive(phi, (4 * 300, 5000), seed=3, sigma=2.0).reshape(4, 300, 5000)
    values = data.transpose(0, 2, 1).reshape(20_000, 300)
    chains = np.repeat(np.arange(4), 5000)
    labels = uncertainty.batch_labels(20_000, chains)
    sums, weights = uncertainty.batch_sums(values, labels)
    result = uncertainty.covariance_from_batches(sums, weights)
    estimate = np.diag(result.long_run)
    length = 20_000 / result.n_batches
    # variance of a mean of `length` rows, exactly, times length
    finite = long_run_variance(phi, 2.0) - 4.0 * 2 * phi * (1 - phi**length) / (length * (1 - phi) ** 2)
    assert estimate.mean() == pytest.approx(finite, rel=4 * np.sqrt(2 / 99 / 300))  # 4 sigma: false alarm 6e-5
    assert estimate.mean() == pytest.approx(long_run_variance(phi, 2.0), rel=0.1)
    naive = values.var() * np.ones(1)
    if phi == 0.9:
        assert naive < 0.1 * estimate.mean()
    # intervals from Student's t cover the true mean (zero): binomial 300 x 0.95, 4 sigma = 15
    covered = np.sum(np.abs(result.mean) <= result.quantile(0.95) * result.std)
    assert abs(covered - 285) <= 15


def test_batch_correlation_sees_batches_that_are_too_short():
    data = autoregressive(0.99, (2, 50_000), seed=4)
    values, chains = data.ravel(), np.repeat([0, 1], 50_000)
    short = uncertainty.batch_means_covariance(values, uncertainty.batch_labels(100_000, chains, 5000), chains=chains)
    long = uncertainty.batch_means_covariance(values, uncertainty.batch_labels(100_000, chains, 50), chains=chains)
    assert short.batch_correlation > 0.7
    assert abs(long.batch_correlation) < 0.5  # 50 batches: 3.5 standard deviations
    assert np.isnan(uncertainty.batch_means_covariance(values[:4], np.arange(4)).batch_correlation)


# --- bootstrap -------------------------------------------------------------------------------------------------------


def test_block_bootstrap_keeps_chains_and_blocks():
    chains = np.repeat([0, 1, 2], [100, 40, 7])
    replicates = list(uncertainty.block_bootstrap_indices(147, chains, n_replicates=5, block_length=10, seed=0))
    assert len(replicates) == 5
    for rows in replicates:
        assert rows.shape == (147,)
        assert np.array_equal(chains[rows], chains)  # every chain keeps its place and length
        first = rows[:100].reshape(10, 10)
        assert np.all((np.diff(first, axis=1) == 1) | (np.diff(first, axis=1) == -99))
    again = list(uncertainty.block_bootstrap_indices(147, chains, n_replicates=5, block_length=10, seed=0))
    assert all(np.array_equal(a, b) for a, b in zip(replicates, again, strict=True))
    assert not np.array_equal(replicates[0], replicates[1])
    with pytest.raises(ValueError, match="block_length must be at least 1"):
        uncertainty.block_bootstrap_indices(10, block_length=0)


def test_block_bootstrap_spread_of_the_mean_is_the_long_run_one():
    phi, n_rows = 0.8, 20_000
    values = autoregressive(phi, (1, n_rows), seed=5)[0]
    means = [
        values[rows].mean()
        for rows in uncertainty.block_bootstrap_indices(n_rows, n_replicates=400, block_length=200, seed=1)
    ]
    # scatter of the estimate: 100 blocks and 400 replicates, sqrt(2/100 + 2/400) = 16 % in variance; 4 sigma
    assert np.var(means) * n_rows == pytest.approx(long_run_variance(phi), rel=0.64)
    rows = [
        values[rows].mean()
        for rows in uncertainty.block_bootstrap_indices(n_rows, n_replicates=400, block_length=1, seed=1)
    ]
    assert np.var(rows) * n_rows == pytest.approx(values.var(), rel=0.3)  # independent rows: 4 sigma of sqrt(2/400)


# --- autocorrelation time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.4])
def test_autocorrelation_time_of_autoregressive_chains(phi):
    data = autoregressive(phi, (8, 40_000), seed=6)
    chains = np.repeat(np.arange(8), 40_000)
    tau = uncertainty.autocorrelation_time(data.ravel(), chains)
    assert tau.shape == (1,)
    assert tau[0] == pytest.approx((1 + phi) / (1 - phi), rel=0.05)


def test_autocorrelation_time_of_chains_that_stay_apart_and_of_constants():
    rng = np.random.default_rng(7)
    apart = rng.normal(size=(4, 500)) + np.array([[-10.0], [-5.0], [5.0], [10.0]])
    values = np.stack([apart.ravel(), np.ones(2000), rng.normal(size=2000)], axis=1)
    tau = uncertainty.autocorrelation_time(values, np.repeat(np.arange(4), 500))
    assert tau[0] == np.inf
    assert np.isnan(tau[1])
    assert tau[2] == pytest.approx(1.0, abs=0.5)


# --- convergence -----------------------------------------------------------------------------------------------------


def test_convergence_of_good_and_bad_chains():
    data = autoregressive(0.5, (4, 2000), seed=8)
    spins = np.sign(np.stack([data, data + np.array([[-2.0], [-2.0], [2.0], [2.0]]), np.ones_like(data)], axis=2))
    result = uncertainty.convergence(xr.Dataset({"spins": (("chain", "draw", "spin"), spins.astype(np.int8))}))
    assert result["spins_r_hat"].dims == ("spin",)
    assert result["spins_r_hat"].values[0] < 1.02
    assert result["spins_r_hat"].values[1] > 1.5
    assert np.isnan(result["spins_r_hat"].values[2])
    assert np.isnan(result["spins_ess"].values[2])
    # sign of AR(1): rho(t) = 2/pi arcsin(phi^t)
    lags = np.arange(1, 200)
    expected = 8000 / (1 + 2 * np.sum(2 / np.pi * np.arcsin(0.5**lags)))
    assert result["spins_ess"].values[0] == pytest.approx(expected, rel=0.2)


def test_chains_frozen_apart_have_infinite_r_hat():
    spins = np.ones((2, 100, 1), dtype=np.int8)
    spins[1] = -1
    result = uncertainty.convergence(xr.Dataset({"spins": (("chain", "draw", "spin"), spins)}))
    assert result["spins_r_hat"].item() == np.inf


def test_chains_of_a_recording_are_cut_to_equal_length():
    values = np.arange(100.0)[:, None]
    halves = uncertainty.chains_dataset(values)
    assert dict(halves.sizes) == {"chain": 2, "draw": 50, "spin": 1}
    np.testing.assert_array_equal(halves["spins"].values.ravel(), np.arange(100.0))
    unequal = uncertainty.chains_dataset(values, np.repeat([0, 1], [70, 30]))
    assert dict(unequal.sizes) == {"chain": 3, "draw": 30, "spin": 1}
    assert unequal.attrs["rows_left_out"] == 10
    short = uncertainty.chains_dataset(values, np.repeat([0, 1, 2], [49, 49, 2]))
    assert dict(short.sizes) == {"chain": 2, "draw": 49, "spin": 1}
    one_long = uncertainty.chains_dataset(values, np.repeat([0, 1], [97, 3]))
    assert one_long.sizes["chain"] >= 2
    with pytest.raises(ValueError, match="at least 8 rows"):
        uncertainty.chains_dataset(values[:7])
    with pytest.raises(ValueError, match="at least 2 chains of 4 draws"):
        uncertainty.convergence(halves.isel(chain=[0]))


def test_posterior_dataset_goes_through_arviz():
    rng = np.random.default_rng(9)
    dataset = uncertainty.posterior_dataset(
        {"rate": rng.normal(size=(4, 250)), "couplings": rng.normal(size=(4, 250, 3))}, {"model": "test"}
    )
    assert isinstance(dataset, xr.Dataset)
    assert dataset["rate"].dims == ("chain", "draw")
    assert dataset.attrs == {"model": "test"}
    result = uncertainty.convergence(dataset)
    assert result["rate_r_hat"].item() == pytest.approx(1.0, abs=0.02)
    assert result["couplings_ess"].shape == (3,)
    assert xr.DataTree.from_dict({"posterior": dataset})["posterior"]["rate"].shape == (4, 250)
    with pytest.raises(ValueError, match="must have shape"):
        uncertainty.posterior_dataset({"rate": np.zeros(3)})


# --- Laplace posterior -----------------------------------------------------------------------------------------------


def test_laplace_posterior_has_the_given_mean_and_covariance():
    rng = np.random.default_rng(30)
    factor = rng.normal(size=(3, 5))
    mean = {"a": 2.0, "b": np.array([[1.0, -1.0], [0.5, 3.0]])}
    found = uncertainty.laplace_posterior(
        mean,
        factor.T @ factor,
        dims={"b": ("row", "column")},
        coords={"column": ["left", "right"]},
        draws=5000,
        chains=4,
        seed=1,
        attributes={"model": "none"},
    )
    assert found["a"].dims == ("chain", "draw")
    assert found["b"].dims == ("chain", "draw", "row", "column")
    assert list(found["column"].values) == ["left", "right"]
    assert found.attrs == {"model": "none"}
    points = np.column_stack([found["a"].values.ravel(), found["b"].values.reshape(20_000, 4)])
    np.testing.assert_allclose(points.mean(axis=0), [2, 1, -1, 0.5, 3], atol=0.1)  # 0.1 is 6 standard errors or more
    np.testing.assert_allclose(np.cov(points.T), factor.T @ factor, atol=0.25)
    assert np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) == 3  # no variance where there is none
    by_factor = uncertainty.laplace_posterior(mean, factor=factor, draws=5000, seed=2)
    spread = np.column_stack([by_factor["a"].values.ravel(), by_factor["b"].values.reshape(20_000, 4)])
    np.testing.assert_allclose(np.cov(spread.T), factor.T @ factor, atol=0.25)
    summary = uncertainty.convergence(found)
    assert float(summary["b_r_hat"].max()) < 1.01
    again = uncertainty.laplace_posterior(mean, factor=factor, draws=5000, seed=2)
    xr.testing.assert_identical(by_factor, again)


def test_laplace_posterior_cut_off_at_a_bound():
    found = uncertainty.laplace_posterior(
        {"x": 0.0}, [[1.0]], draws=10_000, seed=3, accept=lambda draws: draws["x"] > 0.0
    )["x"]
    assert float(found.min()) > 0.0
    assert float(found.mean()) == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)  # half a Gaussian; 6 standard errors
    with pytest.raises(ValueError, match="nearly all draws lie outside"):
        uncertainty.laplace_posterior({"x": 0.0}, [[1.0]], accept=lambda draws: draws["x"] > 50.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either the covariance or a factor"),
        ({"covariance": np.eye(3)}, r"must have shape \(2, 2\)"),
        ({"factor": np.eye(3)}, r"must have shape \(m, 2\)"),
        ({"covariance": np.diag([1.0, -1.0])}, "negative eigenvalue"),
        ({"covariance": np.full((2, 2), np.nan)}, "not finite"),
        ({"covariance": np.eye(2), "draws": 0}, "draws and chains must be at least 1"),
    ],
)
def test_bad_posteriors_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        uncertainty.laplace_posterior({"x": np.zeros(2)}, **arguments)


def test_batches_are_as_long_as_rows_remember():
    rng = np.random.default_rng(0)
    plain = rng.choice([-1, 1], (4000, 6))
    new = rng.random(4000) < 2 / 18  # states are kept: an autocorrelation time of 17
    new[0] = True
    kept = plain[np.maximum.accumulate(np.where(new, np.arange(4000), 0))]
    np.testing.assert_array_equal(long_batch_labels(plain), uncertainty.batch_labels(4000))
    labels = long_batch_labels(kept)
    assert 20 <= labels.max() + 1 <= 30
    # independent rows: mean 1.09 (negative correlations of batches are not taken off), scatter 0.23 over 200 records
    assert batch_times(plain, uncertainty.batch_labels(4000)).mean() == pytest.approx(1.09, abs=4 * 0.23 / np.sqrt(6))
    # 20 batches know a variance to 30 %, the mean of six columns to 13 %
    assert batch_times(kept, labels).mean() == pytest.approx(17, rel=0.4)
