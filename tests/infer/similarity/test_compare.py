"""`compare` on couplings whose place in the dreaming family is known."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from scipy import linalg, optimize, stats

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.similarity.compare import compare
from infer.similarity.family import DreamingFamily
from infer.similarity.metrics import principal_angles, recall, similarity_metrics
from infer.similarity.rate_fit import best_rates, interval_from_replicates, interval_from_residuals, null_cosines
from simulate.couplings import dreaming, hebbian, pseudo_inverse


def random_patterns(n_patterns, n_spins, seed=0):
    return np.random.default_rng(seed).choice([-1, 1], size=(n_patterns, n_spins)).astype(np.int8)


def symmetric_noise(n, n_spins, scale, rng):
    noise = np.triu(rng.normal(0.0, scale, size=(n, n_spins, n_spins)), 1)
    return noise + noise.transpose(0, 2, 1)


def plain_cosine(A, B):
    pairs = np.triu_indices(len(A), 1)
    return A[pairs] @ B[pairs] / np.linalg.norm(A[pairs]) / np.linalg.norm(B[pairs])


@pytest.mark.parametrize("rate", [-0.2, 0.0, 0.064, 1.0, 20.0])
def test_exact_members_are_found(rate):
    xi = random_patterns(12, 40)
    found = compare(0.7 * dreaming(xi, rate), xi)
    assert found.best_rate == pytest.approx(rate, abs=1e-7 * (1 + rate**2))
    assert found.inverse_temperature == pytest.approx(0.7, rel=1e-6)
    assert found.slope == pytest.approx(0.7 * (1 + rate), rel=1e-6)
    assert found.at_best["cosine"] == pytest.approx(1.0, abs=1e-10)
    assert found.optimum == "interior"
    np.testing.assert_allclose(found.reference_couplings, 0.7 * dreaming(xi, rate), atol=1e-8)


def test_pseudo_inverse_has_no_finite_rate_and_says_so():
    xi = random_patterns(12, 40)
    found = compare(pseudo_inverse(xi), xi)
    assert found.best_rate == np.inf
    assert found.optimum == "infinite rate"
    assert "pseudo-inverse limit" in found.verdict
    assert found.to_dict()["best_rate"] == "inf"
    np.testing.assert_allclose(found.reference_couplings, pseudo_inverse(xi), atol=1e-10)
    assert found.inverse_temperature == pytest.approx(1.0)
    noisy = compare(pseudo_inverse(xi) + symmetric_noise(1, 40, 0.02, np.random.default_rng(0))[0], xi)
    assert noisy.optimum == "infinite rate"
    assert noisy.best_rate_interval[1] == np.inf
    assert 3.0 < noisy.best_rate_interval[0] < 1000.0


def test_leading_mode_alone_is_the_lower_bound():
    xi = random_patterns(12, 40)
    family = DreamingFamily.from_patterns(xi)
    weights = np.zeros(12)
    weights[0] = 1.0
    found = compare(family.couplings_of(weights), xi)
    assert found.optimum == "lower bound"
    assert found.best_rate == pytest.approx(family.lower_bound, rel=1e-4)


def test_mean_field_couplings_are_the_infinite_rate_of_correlations():
    rng = np.random.default_rng(0)
    G = np.corrcoef((rng.normal(size=(100, 12)) @ rng.normal(size=(12, 12))).T)
    found = compare(-np.linalg.inv(G), correlations=G)
    assert found.best_rate == np.inf
    assert found.at_best["cosine"] == pytest.approx(1.0)
    assert found.reference == "data correlations"
    assert found.retrieval is None
    assert found.principal_angles is None
    family = DreamingFamily.from_correlations(G)
    assert compare(family.couplings(3.0), correlations=G).best_rate == pytest.approx(3.0, rel=1e-6)


def test_best_rate_is_that_of_a_general_optimiser():
    rng = np.random.default_rng(5)
    xi = random_patterns(10, 30)
    couplings = [0.5 * dreaming(xi, rate) + symmetric_noise(1, 30, 0.05, rng)[0] for rate in (-0.1, 0.2, 1.0)]
    family = DreamingFamily.from_patterns(xi)
    ours = best_rates(family, family.project(np.array(couplings)))
    for A, rate in zip(couplings, ours, strict=True):
        answer = optimize.minimize_scalar(
            lambda r, A=A: -plain_cosine(A, dreaming(xi, r)),
            bounds=(0.999 * family.lower_bound, 50),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert rate == pytest.approx(answer.x, abs=1e-5)


def test_profile_is_that_of_plain_metrics():
    rng = np.random.default_rng(1)
    xi = random_patterns(8, 25)
    A = dreaming(xi, 0.4) + symmetric_noise(1, 25, 0.05, rng)[0] + 0.02 * (1 - np.eye(25))
    found = compare(A, xi, rates=[-0.1, 0.3, 2.0])
    np.testing.assert_array_equal(found.rates, [-0.1, 0.0, 0.3, 2.0])
    pairs = np.triu_indices(25, 1)
    for k, rate in enumerate(found.rates):
        B = dreaming(xi, rate)
        assert found.profile["cosine"][k] == pytest.approx(plain_cosine(A, B), rel=1e-10)
        assert found.profile["pearson"][k] == pytest.approx(np.corrcoef(A[pairs], B[pairs])[0, 1], rel=1e-10)
        scale = np.sum(A * B) / np.sum(B * B)
        distance = np.linalg.norm(A - scale * B) / np.linalg.norm(A)
        assert found.profile["frobenius_distance"][k] == pytest.approx(distance, rel=1e-10)
        for name, value in similarity_metrics(A, B).items():
            assert found.profile[name][k] == pytest.approx(value, rel=1e-9)


def test_spectrum_distance_forgets_eigenvectors_and_keeps_its_bound():
    rng = np.random.default_rng(2)
    A, B = symmetric_noise(2, 15, 1.0, rng)
    permuted = A[np.ix_(order := rng.permutation(15), order)]
    assert similarity_metrics(A, 3 * permuted)["spectrum_distance"] == pytest.approx(0.0, abs=1e-12)
    metrics = similarity_metrics(A, B)
    assert 0 < metrics["spectrum_distance"] <= np.sqrt(2 * (1 - metrics["cosine"]))


def test_default_grid_holds_zero_and_the_best_rate():
    xi = random_patterns(12, 40)
    for rate in (-0.15, 0.0, 0.05, 40.0):
        rates = compare(dreaming(xi, rate) + 1e-3 * hebbian(random_patterns(3, 40, 9)), xi).rates
        assert np.all(np.diff(rates) > 0)
        assert 0.0 in rates
        assert rates[0] < min(rate, 0)
        assert max(rate, 0) < rates[-1]
        assert np.all(rates > DreamingFamily.from_patterns(xi).lower_bound)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    # 95 % intervals, 100 repeats at each of two rates: 190 of 200 expected, outside [178, 198] with probability 1.4e-3
    # (binomial); sigma > 1.96 at rate 0 in 5 of 100 expected, more than 13 with probability 5e-4
    rng = np.random.default_rng(11)
    xi = random_patterns(10, 40, 4)
    family = DreamingFamily.from_patterns(xi)
    covered = np.zeros(2, dtype=int)
    for truth in (0.0, 0.4):
        clean = 0.5 * dreaming(xi, truth)
        pool = symmetric_noise(4000, 40, 0.01, rng)
        noise, norms = family.project(pool), np.linalg.norm(pool + clean, axis=(1, 2))
        distinguished = np.zeros(2, dtype=int)
        for _ in range(100):
            A = clean + symmetric_noise(1, 40, 0.01, rng)[0]
            projection = family.project(A)
            rate = float(best_rates(family, projection[None])[0])
            chosen = rng.choice(4000, 200, replace=False)
            replicates = projection + noise[chosen]
            with_noise, _ = interval_from_replicates(
                family, rate, projection, replicates, np.linalg.norm(A), norms[chosen], 0.95
            )
            alone = interval_from_residuals(family, rate, A, projection, 0.95)
            covered += [with_noise.low <= truth <= with_noise.high, alone.low <= truth <= alone.high]
            distinguished += [with_noise.sigma > 1.96, alone.sigma > 1.96]
        assert np.all(distinguished <= 13 if truth == 0.0 else distinguished >= 95), (truth, distinguished)
    assert np.all((covered >= 178) & (covered <= 198)), covered


def test_replicates_set_interval_ceiling_and_verdict():
    rng = np.random.default_rng(0)
    xi = random_patterns(30, 100)
    clean = 0.4 * dreaming(xi, 0.2)
    A = clean + symmetric_noise(1, 100, 0.005, rng)[0]
    found = compare(A, xi, replicates=A + symmetric_noise(300, 100, 0.005, rng))
    low, high = found.best_rate_interval
    assert low < 0.2 < high
    assert high - low == pytest.approx(2 * 1.96 * found.best_rate_std, rel=0.2)
    assert "bootstrap replicates" in found.interval_method
    assert "closer to dreamed couplings" in found.verdict
    assert found.noise_ceiling == pytest.approx(plain_cosine(A, clean), abs=0.003)
    assert found.inverse_temperature == pytest.approx(0.4, abs=4 * found.inverse_temperature_std)
    assert found.slope_std == pytest.approx(0.4 * 1.2 * 0.012, rel=0.5)


def test_the_matrix_alone_gives_an_interval_to_both_sides():
    rng = np.random.default_rng(0)
    xi = random_patterns(30, 100)
    found = compare(0.4 * dreaming(xi, 0.2) + symmetric_noise(1, 100, 0.002, rng)[0], xi)
    sides = np.abs(np.array(found.best_rate_interval) - found.best_rate) / found.best_rate_std
    np.testing.assert_allclose(sides, 1.96, rtol=0.05)
    assert "residual couplings taken as noise" in found.interval_method


def test_hebbian_couplings_are_not_called_dreamed():
    rng = np.random.default_rng(0)
    xi = random_patterns(20, 60)
    A = hebbian(xi) + symmetric_noise(1, 60, 0.02, rng)[0]
    assert "cannot be told from Hebbian" in compare(A, xi).verdict
    assert "cannot be told from Hebbian" in compare(A, xi, replicates=A + symmetric_noise(200, 60, 0.02, rng)).verdict


def test_random_couplings_are_called_unlike():
    A = symmetric_noise(1, 60, 1.0, np.random.default_rng(3))[0]
    assert "resemble no member" in compare(A, random_patterns(20, 60)).verdict
    assert "resemble no member" in compare(-hebbian(random_patterns(20, 60)), random_patterns(20, 60)).verdict


def test_negative_rates_are_named():
    xi = random_patterns(20, 60)
    found = compare(dreaming(xi, -0.1) + symmetric_noise(1, 60, 0.001, np.random.default_rng(0))[0], xi)
    assert "negative rate" in found.verdict
    assert found.best_rate_interval[1] < 0


def test_orthogonal_patterns_leave_the_rate_open():
    xi = linalg.hadamard(16)[1:4]
    found = compare(hebbian(xi), xi)
    assert found.optimum == "undefined"
    assert "no rate can be told" in found.verdict
    json.dumps(found.to_dict(), allow_nan=False)


def test_random_null_model_is_that_of_drawn_matrices():
    # two-sample Kolmogorov-Smirnov test of the best cosines; fails by chance once in a thousand
    rng = np.random.default_rng(0)
    xi = random_patterns(6, 20)
    family = DreamingFamily.from_patterns(xi)
    drawn = symmetric_noise(1000, 20, 1.0, rng)
    rates = best_rates(family, family.project(drawn))
    plain = [plain_cosine(A, family.couplings(r)) for A, r in zip(drawn, rates, strict=True)]
    shortcut = null_cosines(family, 0.3, family.project(drawn[0]), 1.0, 1000, np.random.default_rng(1))
    assert stats.ks_2samp(plain, shortcut["random couplings"]).pvalue > 1e-3
    assert stats.ks_2samp(plain, 1.3 * shortcut["random couplings"]).pvalue < 1e-3


def test_shuffled_eigenvalues_do_worse_than_the_best():
    xi = random_patterns(20, 60)
    null = compare(dreaming(xi, 0.5), xi).null_models["shuffled eigenvalues"]
    assert null["percentile"] == 100.0
    assert null["low"] < null["mean"] < null["high"] < 1.0


def test_principal_angles_of_the_same_and_of_a_strange_subspace():
    xi = random_patterns(5, 50)
    family = DreamingFamily.from_patterns(xi)
    np.testing.assert_allclose(principal_angles(pseudo_inverse(xi), family), 0.0, atol=0.12)
    assert principal_angles(hebbian(random_patterns(5, 50, 8)), family).min() > 0.5


def test_recall_of_few_and_of_many_patterns():
    few, many = random_patterns(3, 200), random_patterns(80, 200)
    remembered = recall(hebbian(few), few)
    assert remembered["fixed_points"] == 1.0
    assert remembered["overlap"] > 0.99
    # load 0.4 is far above the Hebbian capacity of 0.138, below that of the pseudo-inverse rule
    assert recall(hebbian(many), many)["overlap"] < 0.6
    assert recall(pseudo_inverse(many), many)["fixed_points"] == 1.0
    assert recall(-hebbian(few), few)["fixed_points"] == 0.0


def test_an_estimator_gives_couplings_and_replicates():
    xi = random_patterns(10, 30)

    class Fitted:
        couplings_ = dreaming(xi, 0.5)

        def fit(self, X):
            return self

        def bootstrap_couplings(self, n_replicates, random_state):
            rng = np.random.default_rng(random_state)
            return self.couplings_ + symmetric_noise(n_replicates, 30, 0.01, rng)

    found = compare(Fitted(), xi, n_bootstrap=100)
    assert "100 bootstrap replicates" in found.interval_method
    assert found.best_rate_interval == compare(Fitted(), xi, n_bootstrap=100).best_rate_interval
    del Fitted.couplings_
    with pytest.raises(ValueError, match="not fitted"):
        compare(Fitted(), xi)


def test_results_are_ready_for_json_and_xarray():
    xi = random_patterns(10, 30)
    A = dreaming(xi, 0.5) + symmetric_noise(1, 30, 0.01, np.random.default_rng(0))[0]
    found = compare(A, xi)
    numbers = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert numbers["best_rate"] == found.best_rate
    assert numbers["n_patterns"] == 10
    dataset = found.to_dataset()
    np.testing.assert_array_equal(dataset["cosine"], found.profile["cosine"])
    assert dataset.attrs["verdict"] == found.verdict
    assert found.verdict in found.summary()
    for ceiling, shown in ((0.5, False), (1.0, True), (None, False)):  # a limit below what was found is noise itself
        assert ("noise ceiling" in dataclasses.replace(found, noise_ceiling=ceiling).summary()) == shown


def test_the_dataset_survives_a_file(tmp_path):
    xi = random_patterns(5, 20)
    dataset = compare(pseudo_inverse(xi), xi).to_dataset()
    dataset.to_netcdf(tmp_path / "similarity.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "similarity.nc", engine="h5netcdf") as read:
        xr.testing.assert_identical(read.load(), dataset)


def test_inputs_are_left_alone():
    xi = random_patterns(5, 20)
    A = hebbian(xi) + np.eye(20)
    before = A.copy()
    compare(A, xi)
    np.testing.assert_array_equal(A, before)


def test_bad_input_is_named():
    xi = random_patterns(5, 20)
    A = hebbian(xi)
    broken = A.copy()
    broken[3, 4] += 1.0
    cases = [
        ((broken, xi), {}, r"must be symmetric: couplings\[3, 4\]"),
        ((A, xi[:, :19]), {}, "19 spins do not fit"),
        ((A,), {}, "either patterns or correlations"),
        ((A, xi), {"correlations": np.eye(20)}, "either patterns or correlations"),
        ((A,), {"correlations": np.eye(20)}, "zero off the diagonal"),
        ((np.eye(20), xi), {}, "all entries off the diagonal are 0"),
        ((A, xi), {"rates": [0.1, -9.0]}, "rates: entry 1 is -9"),
        ((A, xi), {"confidence": 1.0}, "confidence"),
        ((A, xi), {"replicates": np.zeros((3, 20, 20))}, "at least 20"),
        ((A, xi), {"replicates": np.zeros((30, 19, 20))}, "replicates: expected shape"),
        ((A, xi), {"replicates": np.full((30, 20, 20), np.nan)}, r"entry \[0, 0, 0\] is nan"),
        ((A, xi), {"n_null": 3}, "n_null"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            compare(*arguments, **options)


def test_scale_of_the_couplings_changes_the_temperature_only():
    patterns = random_patterns(4, 13, seed=2)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(13, 13)) * 0.02
    couplings = dreaming(patterns, 0.5) + noise + noise.T
    np.fill_diagonal(couplings, 0.0)
    found = compare(couplings, patterns, n_null=50)
    for factor in (1e200, 1e-200, 3.0):
        scaled = compare(factor * couplings, patterns, n_null=50)
        assert scaled.best_rate == pytest.approx(found.best_rate, rel=1e-9)
        assert scaled.best_rate_std == pytest.approx(found.best_rate_std, rel=1e-9)
        assert scaled.inverse_temperature == pytest.approx(factor * found.inverse_temperature, rel=1e-9)
        assert scaled.at_best == pytest.approx(found.at_best, rel=1e-9)
        assert scaled.retrieval == found.retrieval
        np.testing.assert_allclose(scaled.couplings, factor * found.couplings, rtol=1e-12)
        np.testing.assert_allclose(scaled.spectra["inferred"], factor * found.spectra["inferred"], rtol=1e-9)
        metrics = similarity_metrics(factor * couplings, found.reference_couplings)
        assert metrics == pytest.approx(similarity_metrics(couplings, found.reference_couplings), rel=1e-12)


def test_no_rate_where_the_penalty_sets_it():
    """Rates of 0.76, 0.28 and 0.094 at alpha = 1, 3 and 10 are about 1 / alpha; a weak penalty leaves a number."""
    patterns = np.random.default_rng(0).choice([-1, 1], (5, 30))
    spins = np.random.default_rng(1).choice([-1, 1], (300, 30))
    spins[:150] = patterns[np.arange(150) % 5] * np.where(np.random.default_rng(2).random((150, 30)) < 0.2, -1, 1)
    for alpha in (1.0, 3.0, 10.0):
        found = compare(PseudoLikelihood(alpha=alpha, fit_fields=False).fit(spins), patterns, n_bootstrap=50, n_null=50)
        assert np.isnan([found.best_rate, found.best_rate_std, found.slope, found.inverse_temperature]).all()
        assert "not determined under this penalty" in found.verdict
        assert "not determined under this penalty" in found.summary()
    weak = PseudoLikelihood(alpha=0.01, fit_fields=False).fit(spins)
    assert np.isfinite(compare(weak, patterns, n_bootstrap=50, n_null=50).best_rate)
    assert compare(weak.couplings_, patterns, alpha=10.0, n_null=50).optimum == "set by the penalty"
