"""Missing values: draws held to enumeration, estimates to the truth and to those from complete samples."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.pseudolikelihood.missing import complete, find_gaps, fit_by_completion
from infer.estimators.pseudolikelihood.missing_kernels import draw_entries
from infer.samples import Samples
from tests import exact


def some_samples(n_spins=8, n_samples=20_000, scale=0.9, share=0.2, seed=0):
    """Couplings, fields, complete samples, and the same with a share of the values missing at random (0)."""
    rng = np.random.default_rng(seed)
    couplings, fields = exact.random_couplings(n_spins, scale, rng), rng.normal(0, 0.4, n_spins)
    spins = exact.draw(couplings, n_samples, fields, seed=rng)
    return couplings, fields, spins, np.where(rng.random(spins.shape) < share, 0, spins).astype(np.int8)


# --- the draws


def test_kernel_does_what_its_plain_twin_does():
    couplings, fields, _, gappy = some_samples(n_samples=50)
    rows, columns = np.nonzero(gappy == 0)
    uniforms = np.random.default_rng(1).random((2, len(rows)))
    start = np.where(gappy == 0, 1, gappy).astype(np.int8)
    compiled, plain = start.copy(), start.copy()
    draw_entries(compiled, rows, columns, couplings, fields, uniforms)
    for sweep in uniforms:
        for row, column, uniform in zip(rows, columns, sweep, strict=True):
            local = fields[column] + couplings[column] @ plain[row]
            plain[row, column] = 1 if uniform < 1 / (1 + np.exp(-2 * local)) else -1
    np.testing.assert_array_equal(compiled, plain)
    assert (compiled != start).any()


def test_missing_values_are_drawn_from_the_conditional_distribution():
    couplings, fields, _, _ = some_samples(5, 10)
    observed = np.array([1, 0, -1, 0, 0], dtype=np.int8)
    n_rows = 20_000
    completed = complete(np.tile(observed, (n_rows, 1)), couplings, fields)
    assert chi_square(completed, observed, couplings, fields) < 24.3  # 7 degrees of freedom, false alarm 0.1 %


def conditional(observed, couplings, fields):
    """All states with their probabilities given the observed spins (0: missing)."""
    states = exact.all_states(len(observed))
    weight = exact.boltzmann(couplings, fields)
    weight = np.where((states[:, observed != 0] == observed[observed != 0]).all(axis=1), weight, 0.0)
    return states, weight / weight.sum()


def chi_square(completed, observed, couplings, fields):
    """Distance of completions of one row from what enumeration says; infinite if observed spins were changed."""
    _, weight = conditional(observed, couplings, fields)
    found, expected = np.bincount(exact.state_index(completed), minlength=len(weight)), weight * len(completed)
    possible = weight > 0
    return np.inf if found[~possible].any() else ((found - expected)[possible] ** 2 / expected[possible]).sum()


@pytest.fixture(scope="module")
def model():
    """A fit to five spins with couplings and fields."""
    return PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(some_samples(5, 2000)[3])


# 1, 3 and 31 degrees of freedom, false alarms 0.1 % each
@pytest.mark.slow
@pytest.mark.parametrize(
    ("observed", "bound"), [([1, -1, 0, 1, 1], 10.8), ([1, 0, -1, 0, 1], 16.3), ([0, 0, 0, 0, 0], 61.1)]
)
def test_a_single_row_is_completed_from_the_model_alone(model, observed, bound):
    observed = np.array(observed, dtype=np.int8)
    completed = np.concatenate([model.complete(observed[None], random_state=seed) for seed in range(4000)])
    assert chi_square(completed, observed, model.couplings_, model.fields_) < bound


def test_rows_are_completed_alike_whatever_rows_they_are_among(model):
    observed = np.array([1, 0, -1, 0, 1], dtype=np.int8)
    # in the other rows what is missing in this one is nearly always up
    others = np.ones((2000, 5), dtype=np.int8)
    completed = model.complete(np.concatenate([np.tile(observed, (4000, 1)), others]))[:4000]
    assert chi_square(completed, observed, model.couplings_, model.fields_) < 16.3


def test_score_of_a_row_is_that_of_its_draws(model):
    observed = np.array([1, 0, -1, 0, 1], dtype=np.int8)
    states, weight = conditional(observed, model.couplings_, model.fields_)
    values = -np.logaddexp(0.0, -2.0 * states * (states @ model.couplings_ + model.fields_)) @ (observed != 0)
    expected = weight @ values
    spread = np.sqrt(weight @ (values - expected) ** 2)
    found = model.score(np.tile(observed, (4000, 1)))
    assert found == pytest.approx(expected, abs=4 * spread / np.sqrt(4000))
    assert np.isfinite(model.score(observed[None]))


# --- the estimates


@pytest.mark.slow
def test_estimates_are_those_of_the_truth_and_filling_is_not():
    couplings, fields, spins, gappy = some_samples()
    model = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(gappy)
    above = np.triu_indices(8, 1)
    z = (
        (model.couplings_ - couplings)[above] / model.couplings_std_[above],
        (model.fields_ - fields) / model.fields_std_,
    )
    # 28 and 8 of them; their errors are up to 10 % too small: chi-square below 69 and 32, false alarms 0.1 % each
    assert (z[0] ** 2).sum() < 56.9 * 1.1**2
    assert (z[1] ** 2).sum() < 26.1 * 1.1**2
    plain = PseudoLikelihood(fit_fields=True, alpha=0.0)
    std = model.couplings_std_[above]
    common = np.where(gappy.sum(axis=0) >= 0, 1, -1)
    filled = plain.fit(np.where(gappy == 0, common, gappy)).couplings_[above]
    assert np.mean(((filled - couplings[above]) / std) ** 2) > 10
    # the estimate from complete samples is nearer to it than the truth is to either
    whole = plain.fit(spins)
    assert np.mean(((whole.couplings_[above] - model.couplings_[above]) / std) ** 2) < 1
    assert std.mean() == pytest.approx(whole.couplings_std_[above].mean() / 0.8, rel=0.1)


@pytest.mark.slow
def test_values_missing_where_others_say_so():
    """Missing at random, not completely: a spin is missing more often when its neighbour, always observed, is up."""
    couplings, fields, spins, _ = some_samples(6, 40_000, scale=0.7, seed=3)
    gappy = spins.copy()
    gappy[(spins[:, 0] == 1) & (np.random.default_rng(0).random(len(spins)) < 0.7), 1] = 0
    model = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(gappy)
    assert model.converged_
    # a coupling's error is about 1 / sqrt(0.3 x 15 000) at worst, from the samples with the neighbour up
    np.testing.assert_allclose(model.couplings_, couplings, atol=4 / np.sqrt(0.3 * (spins[:, 0] == 1).sum()))
    np.testing.assert_allclose(model.fields_, fields, atol=4 / np.sqrt(0.3 * (spins[:, 0] == 1).sum()))
    # samples in which everything was observed are other samples
    whole = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(gappy[gappy.all(axis=1)])
    assert abs(whole.fields_[0] - fields[0]) > 0.3


@pytest.mark.parametrize(
    "parameters", [{"penalty": "l1", "alpha": 0.01}, {"symmetrisation": "joint"}, {"alpha": 0.1}, {"fit_fields": False}]
)
def test_every_kind_of_fit_comes_near_the_one_to_complete_samples(parameters):
    _, _, spins, gappy = some_samples(6, 8000, share=0.1)
    model = PseudoLikelihood(**{"fit_fields": True, **parameters})
    whole = clone(model).fit(spins)
    masked = clone(model).set_params(missing="mask").fit(gappy)
    np.testing.assert_allclose(masked.couplings_, whole.couplings_, atol=0.035)  # three errors of sqrt(0.2 / 8000) ...
    assert masked.converged_


def test_nothing_missing_changes_nothing():
    _, _, spins, _ = some_samples(n_samples=1000)
    plain, masked = (
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins),
        PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(spins),
    )
    np.testing.assert_array_equal(plain.couplings_, masked.couplings_)
    np.testing.assert_array_equal(plain.couplings_std_, masked.couplings_std_)
    assert plain.score(spins) == pytest.approx(masked.score(spins), abs=1e-12)
    np.testing.assert_array_equal(masked.complete(spins), spins)


@pytest.mark.slow
def test_same_samples_same_result_and_samples_stay_as_they_are():
    _, _, _, gappy = some_samples(5, 1000)
    before = gappy.copy()
    first, second = (PseudoLikelihood(missing="mask", n_jobs=n, alpha=0.0, fit_fields=False).fit(gappy) for n in (1, 2))
    np.testing.assert_array_equal(first.couplings_, second.couplings_)
    np.testing.assert_array_equal(gappy, before)
    values = np.where(gappy == 0, np.nan, gappy)
    np.testing.assert_array_equal(
        PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(values).couplings_, first.couplings_
    )
    graded = np.where(gappy == 0, np.nan, 0.3 * gappy + 5)
    found = PseudoLikelihood(missing="mask", threshold=5.0, alpha=0.0, fit_fields=False).fit(graded)
    np.testing.assert_array_equal(found.couplings_, first.couplings_)


@pytest.mark.slow
def test_counts():
    couplings, _, _, gappy = some_samples(5, 20_000)
    rows, counts = np.unique(gappy, axis=0, return_counts=True)
    recording = Samples.of(rows, counts, names="abcde")
    model = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(recording)
    above = np.triu_indices(5, 1)
    z = (model.couplings_ - couplings)[above] / model.couplings_std_[above]
    assert (z**2).sum() < 29.6 * 1.15**2  # 10 degrees of freedom, false alarm 0.1 %
    ordered = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(gappy)
    np.testing.assert_allclose(model.couplings_std_[above], ordered.couplings_std_[above], rtol=0.3)


@pytest.mark.slow
def test_score_is_that_of_complete_samples():
    _, _, spins, gappy = some_samples(8, 20_000, share=0.3)
    model = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(gappy)
    # the scores of rows spread by about 2 nats, and a third of them is other rows
    assert model.score(gappy) == pytest.approx(model.score(spins), abs=5 * 2 / np.sqrt(20_000))
    completed = model.complete(gappy)
    assert set(np.unique(completed)) == {-1, 1}
    np.testing.assert_array_equal(completed[gappy != 0], gappy[gappy != 0])


def test_bootstrap_is_as_wide_as_the_errors():
    _, _, _, gappy = some_samples(6, 4000)
    model = PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(gappy)
    replicates = model.bootstrap_couplings(400, random_state=0)
    above = np.triu_indices(6, 1)
    np.testing.assert_allclose(replicates.std(axis=0)[above], model.couplings_std_[above], rtol=0.2)
    with pytest.raises(ValueError, match="leave it out"):
        model.bootstrap(draws=2, refit=gappy)


# --- what cannot be


def test_complaints():
    _, _, _, gappy = some_samples(n_samples=200)
    with pytest.raises(ValueError, match="row 0, column 1 of X is 0"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(np.array([[1, 0], [1, -1], [-1, 1]]))
    with pytest.raises(ValueError, match="missing='mask'"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(np.array([[1, np.nan], [1, -1], [-1, 1]]))
    with pytest.raises(ValueError, match=r"column 3 of X is 2\.0"):
        PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(
            np.where(gappy == 0, np.nan, gappy) + np.eye(200, 8, 3)
        )
    gappy[:, 2] = 0
    with pytest.raises(ValueError, match="spin 2 are never observed: drop"):
        PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(gappy)


@pytest.mark.slow
def test_spins_that_are_never_observed_together():
    _, _, spins, _ = some_samples(n_samples=4000)
    gappy = spins.copy()
    gappy[:2000, 1] = 0
    gappy[2000:, 4] = 0
    with pytest.warns(ConvergenceWarning, match="spins 1, 4 are never observed together"):
        model = PseudoLikelihood(alpha=1e-3, missing="mask", fit_fields=False).fit(gappy)
    assert np.isnan(model.couplings_std_[1, 4])
    assert np.isfinite(np.delete(np.delete(model.couplings_std_, 1, 0), 1, 1)).all()


def test_spins_that_are_constant_where_observed_stay_so():
    _, _, _, gappy = some_samples(n_samples=500)
    gappy[:, 5] = np.abs(gappy[:, 5])
    with pytest.warns(ConvergenceWarning, match="spin 5 never change"), warnings.catch_warnings():
        model = PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(gappy)
    assert not model.couplings_[5].any()
    assert (model.complete(gappy)[:, 5] == 1).all()
    # samples in which it was never observed, after the samples of the fit are gone
    gappy[:, 5] = 0
    assert (pickle.loads(pickle.dumps(model)).complete(gappy)[:, 5] == 1).all()
    assert np.isfinite(model.score(gappy))


def test_spins_that_are_constant_where_observed_are_so_whatever_the_weights():
    rng = np.random.default_rng(0)
    gappy = np.where(rng.random((500, 4)) < 0.2, 0, rng.choice([-1, 1], size=(500, 4))).astype(np.int8)
    gappy[:, 2] = np.abs(gappy[:, 2])
    for _ in range(10):
        gaps = find_gaps(Samples.of(gappy, rng.random(500), gaps=True))
        assert gaps.means[2] == 1
        assert not (gaps.columns == 2).any()


@pytest.mark.parametrize(("n_missing", "most_fits"), [(1, 20), (20, 20), (400, 20)])
def test_few_missing_values_need_few_fits(n_missing, most_fits):
    spins = some_samples(6, 2000)[2].copy()
    places = np.random.default_rng(1).choice(spins.size, n_missing, replace=False)
    spins.ravel()[places] = 0
    assert count_fits(spins) <= most_fits


def test_constant_spins_need_few_fits():
    spins = some_samples(6, 2000)[2].copy()
    spins[:, 3] = 1
    spins[:1500, 3] = 0  # much is missing, but there is nothing to draw
    assert count_fits(spins) <= 12


def count_fits(gappy):
    """How many complete fits a fit with missing values takes."""
    lasts = []

    def fit(spins, last):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins)
        lasts.append(last)
        return model.couplings_by_node_, model.fields_

    assert fit_by_completion(find_gaps(Samples.of(gappy, gaps=True)), fit)[2]
    assert lasts[-1]
    return len(lasts)


def test_rows_with_counts_are_completed_in_several_ways():
    spins = np.array([[1, 1], [0, -1], [-1, 0], [1, -1]], dtype=np.int8)
    gaps = find_gaps(Samples.of(spins, [5.0, 3.0, 100.0, 7.0], chains=np.arange(4), gaps=True))
    assert len(gaps.samples.spins) == 1 + 3 + 16 + 1
    np.testing.assert_allclose(gaps.samples.weight.sum(), 115)
    np.testing.assert_array_equal(np.bincount(gaps.samples.chains), [1, 3, 16, 1])
    np.testing.assert_allclose(gaps.pair_shares, np.array([[112, 12], [12, 15]]) / 115)


# --- how good the estimates and their errors are


@pytest.mark.validation
@pytest.mark.parametrize(("share", "too_small", "fields_too_small"), [(0.1, 1.12, 1.12), (0.3, 1.2, 1.35)])
def test_bias_and_errors(share, too_small, fields_too_small):
    """60 sets of 6000 samples of N = 10, couplings of 0.9 / sqrt(N): no bias beyond that of complete samples."""
    couplings, fields, _, _ = some_samples(10, 1)
    above = np.triu_indices(10, 1)
    found = {name: [] for name in ("mask", "complete", "fill", "drop")}
    z, z_fields = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        spins = exact.draw(couplings, 6000, fields, seed=rng)
        gappy = np.where(rng.random(spins.shape) < share, 0, spins).astype(np.int8)
        model = PseudoLikelihood(fit_fields=True, missing="mask", alpha=0.0).fit(gappy)
        z.append((model.couplings_ - couplings)[above] / model.couplings_std_[above])
        z_fields.append((model.fields_ - fields) / model.fields_std_)
        found["mask"].append(model.couplings_[above])
        common = np.where(gappy.sum(axis=0) >= 0, 1, -1)
        others = {"complete": spins, "fill": np.where(gappy == 0, common, gappy), "drop": gappy[gappy.all(axis=1)]}
        for name, samples in others.items():
            found[name].append(PseudoLikelihood("l2", 1 / 6000, fit_fields=True).fit(samples).couplings_[above])
    for name, values in found.items():
        deviation, spread = np.mean(values, axis=0) - couplings[above], np.std(values, axis=0)
        bias = np.sqrt(max(np.mean(deviation**2) - np.mean(spread**2) / 60, 0))
        print(f"| {share} | {name} | {bias:.4f} | {spread.mean():.4f} |")  # noqa: T201  # for the record
    print(f"z: {np.std(z):.3f} (couplings), {np.std(z_fields):.3f} (fields)")  # noqa: T201
    # squares of 45 x 60 and 10 x 60 numbers: their roots are known to 1.4 % and 2.9 %
    assert 0.95 < np.std(z) < too_small
    assert 0.9 < np.std(z_fields) < fields_too_small
    deviation, spread = np.mean(found["mask"], axis=0) - couplings[above], np.std(found["mask"], axis=0)
    # chi-square of 45 means: below 2 in the mean but for the bias 1 / n of maximum pseudo-likelihood itself
    assert np.mean((deviation / spread) ** 2) * 60 < 2.5
