"""Posterior, bootstrap and intervals of pseudo-likelihood estimates, as arviz data."""

import copy
import pickle

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.samples import Samples
from infer.statistics.long_batches import long_batches
from infer.statistics.uncertainty import batch_means_covariance, convergence, student_quantile
from tests import exact

UPPER = np.triu_indices(5, 1)


def correlated(n_draws=1000, n_chains=3, stay=0.6, seed=0):
    """Chains that keep their state with probability ``stay``, as a Dataset."""
    rng = np.random.default_rng(seed)
    couplings, fields = exact.random_couplings(5, 0.7, 1), np.random.default_rng(2).normal(0, 0.2, 5)
    chains = []
    for _ in range(n_chains):
        fresh = exact.draw(couplings, n_draws, fields, seed=rng)
        new = rng.random(n_draws) >= stay
        new[0] = True
        chains.append(fresh[np.maximum.accumulate(np.where(new, np.arange(n_draws), 0))])
    return xr.Dataset({"spins": (("chain", "draw", "spin"), np.stack(chains))})


def test_posterior_has_estimates_and_standard_errors():
    model = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(correlated())
    posterior = model.posterior(draws=2500, random_state=3)
    assert posterior["couplings"].dims == ("chain", "draw", "pair")
    assert posterior["fields"].dims == ("chain", "draw", "spin")
    assert list(posterior["pair"].values[:4]) == ["0-1", "0-2", "0-3", "0-4"]
    couplings = posterior["couplings"].values.reshape(10_000, -1)
    fields = posterior["fields"].values.reshape(10_000, -1)
    std = model.couplings_std_[UPPER]
    # of 10 000 draws: means within 5 standard errors, standard deviations known to 0.7 %
    assert np.all(np.abs(couplings.mean(axis=0) - model.couplings_[UPPER]) < 5 * std / 100)
    np.testing.assert_allclose(couplings.std(axis=0), std, rtol=0.035)
    np.testing.assert_allclose(fields.std(axis=0), model.fields_std_, rtol=0.035)
    assert float(convergence(posterior)["couplings_r_hat"].max()) < 1.01
    xr.testing.assert_identical(posterior, model.posterior(draws=2500, random_state=3))


@pytest.mark.slow
def test_posterior_knows_how_couplings_go_together():
    """Correlations of pairs of couplings agree with those of refitted independent data sets (150 sets)."""
    couplings = exact.random_couplings(5, 1.5, 4)
    rng = np.random.default_rng(5)
    fits = [
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(exact.draw(couplings, 1500, seed=rng)).couplings_[UPPER]
        for _ in range(150)
    ]
    truth = np.corrcoef(np.array(fits).T)
    model = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(exact.draw(couplings, 10_000, seed=rng))
    found = np.corrcoef(model.posterior(draws=2500, random_state=6)["couplings"].values.reshape(10_000, -1).T)
    off = np.triu_indices(10, 1)
    # 100 batches know a correlation to 0.1; the largest true ones are several times that
    assert np.abs(truth[off]).max() > 0.3
    assert np.corrcoef(truth[off], found[off])[0, 1] > 0.75
    assert np.sqrt(np.mean((truth[off] - found[off]) ** 2)) < 0.16


@pytest.mark.slow
def test_bootstrap_of_refits_and_to_first_order_agree_with_standard_errors():
    model = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(correlated())
    first = model.bootstrap(draws=500, random_state=7)
    refits = model.bootstrap(draws=50, random_state=8, refit=correlated())
    assert refits["couplings"].dims == first["couplings"].dims == ("chain", "draw", "pair")
    assert refits.sizes["draw"] == 50
    std = np.concatenate([model.couplings_std_[UPPER], model.fields_std_])
    for found, accuracy in ((first, 0.1), (refits, 0.3)):
        spread = np.concatenate([found["couplings"].std(("chain", "draw")), found["fields"].std(("chain", "draw"))])
        np.testing.assert_allclose(spread, std, rtol=accuracy)
    # 200 refits, whose blocks are drawn anew: on average over 15 numbers known to 4 %
    assert np.mean(spread / std) == pytest.approx(1.0, abs=0.12)
    xr.testing.assert_identical(refits, model.bootstrap(draws=50, random_state=8, refit=correlated()))


@pytest.mark.slow
def test_bootstrap_of_counts():
    spins = correlated(stay=0.0)["spins"].values.reshape(-1, 5)
    states, counts = np.unique(spins, axis=0, return_counts=True)
    model = PseudoLikelihood(fit_fields=True, n_jobs=2, alpha=0.0).fit(states, sample_weight=counts)
    spread = (
        model.bootstrap(draws=50, random_state=9, refit=Samples.of(states, counts))["couplings"]
        .std(("chain", "draw"))
        .values
    )
    assert np.mean(spread / model.couplings_std_[UPPER]) == pytest.approx(1.0, abs=0.15)


def test_intervals_are_those_of_student():
    samples = correlated()
    model = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(samples)
    lower, upper = model.confidence_interval(0.9)
    np.testing.assert_allclose((lower + upper) / 2, model.couplings_, atol=1e-12)
    rows = Samples.of(samples)
    batches = long_batches(rows.spins, rows.chains)
    assert batches.n_pieces == 27  # half of the batches, the square root of 3000 rows, which remember each other
    freedom = 26  # slow waves, the mean left out
    np.testing.assert_allclose((upper - lower) / 2, student_quantile(0.9, freedom) * model.couplings_std_)
    low, high = model.confidence_interval(parameter="fields")
    assert low.shape == high.shape == (5,)
    with pytest.raises(ValueError, match="parameter must be 'couplings' or 'fields'"):
        model.confidence_interval(parameter="rate")


def test_names_constant_spins_and_no_fields():
    spins = correlated()["spins"].values.reshape(-1, 5).copy()
    spins[:, 2] = 1
    recording = Samples(spins, names=tuple("abcde"))
    with pytest.warns(ConvergenceWarning, match=r"spin 2 \(c\) never change"):
        model = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(recording)
    posterior = model.posterior(draws=10)
    assert list(posterior["pair"].values) == ["a-b", "a-d", "a-e", "b-d", "b-e", "d-e"]
    assert "fields" not in posterior
    assert np.isfinite(posterior["couplings"]).all()
    assert list(model.bootstrap(draws=5)["pair"].values) == list(posterior["pair"].values)


def test_a_new_fit_forgets_old_errors():
    model = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(correlated(seed=1))
    before = model.couplings_std_
    assert not np.array_equal(before, model.fit(correlated(seed=2)).couplings_std_)
    copies = pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)
    for restored in copies:
        xr.testing.assert_identical(
            restored.posterior(draws=3, random_state=1), model.posterior(draws=3, random_state=1)
        )
        np.testing.assert_array_equal(restored.couplings_std_, model.couplings_std_)
    without = model.fit(correlated(seed=2)).set_params(errors=False)
    assert without.couplings_std_.shape == (5, 5)  # of the fit, whatever the parameters are now
    with pytest.raises(AttributeError, match="fit with errors=True"):
        _ = without.fit(correlated(seed=2)).couplings_std_
    assert not hasattr(without, "couplings_std_")
    model = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(correlated(seed=1))
    with pytest.raises(ValueError, match="draws and chains must be at least 1"):
        model.bootstrap(draws=0)


def recording(spins, chains):
    return Samples(spins, chains=chains)


@pytest.mark.parametrize("kind", ["none", "equal", "unequal"])
def test_batches_weigh_what_their_rows_weigh(kind):
    """Two spins, a batch for each chain, and a penalty, with which influences do not add up to zero."""
    rng = np.random.default_rng(10)
    lengths = rng.integers(2, 9, 60) if kind == "unequal" else np.full(60, 5)
    chains = np.repeat(np.arange(60), lengths)
    spins = exact.draw(exact.random_couplings(2, 1.0, 11), len(chains), seed=rng)
    weight = None
    if kind == "equal":
        weight = np.full(len(chains), 2.5)
    elif kind == "unequal":
        weight = rng.integers(0, 4, len(chains)) * (chains % 3 != 0)  # every third chain counts for nothing
    model = PseudoLikelihood(alpha=0.3, fit_fields=False).fit(recording(spins, chains), sample_weight=weight)
    coupling, product = model.couplings_[0, 1], spins[:, 0] * spins[:, 1]
    curvature = 1 - np.tanh(coupling) ** 2 + 0.3
    # residuals of a fit are too small: by the root of (n - p) / n for the p parameters that the penalty leaves free
    mean = np.average(product, weights=weight)
    free = np.mean([(1 + mean) / (1.3 + mean), (1 - mean) / (1.3 - mean)])
    n_samples = weight.sum() if kind == "unequal" else len(chains)
    residual = (product - np.tanh(coupling)) * np.sqrt(n_samples / (n_samples - free))
    truth = batch_means_covariance(residual / curvature, chains, weight)
    np.testing.assert_allclose(model.couplings_std_[0, 1], truth.std[0], rtol=1e-5)
    lower, upper = model.confidence_interval()
    assert upper[0, 1] - lower[0, 1] == pytest.approx(2 * truth.quantile() * truth.std[0], rel=1e-5)
    spread = model.bootstrap(draws=1000, random_state=12)["couplings"].values.std()
    assert spread == pytest.approx(truth.std[0], rel=0.06)  # 4000 replicates: known to 1.1 %


@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_one_batch_has_no_standard_error(weight):
    spins, chains = np.array([[1, 1], [1, -1], [-1, 1]]), np.zeros(3, dtype=int)
    model = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(recording(spins, chains), sample_weight=weight)
    np.testing.assert_array_equal(model.couplings_std_, [[0, np.nan], [np.nan, 0]])
    np.testing.assert_array_equal(model.fields_std_, 0.0)
    assert np.isnan(model.confidence_interval()[0][0, 1])
    assert np.isnan(model.bootstrap(draws=2)["couplings"]).all()
    with pytest.raises(ValueError, match="finite"):
        model.posterior()


@pytest.mark.slow
def test_weights_that_are_shares_count_the_rows():
    spins = correlated(400, 1, stay=0.0)["spins"].values[0]
    counted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins, sample_weight=np.ones(400))
    normalised = np.full(400, 1 / 400)
    samples = Samples.of(spins, normalised, n_effective=400)
    shared = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(samples)
    np.testing.assert_allclose(shared.couplings_std_, counted.couplings_std_, rtol=1e-4)
    spread = shared.bootstrap(draws=50, random_state=13, refit=samples)["couplings"].std(("chain", "draw")).values
    assert np.mean(spread / shared.couplings_std_[UPPER]) == pytest.approx(1.0, abs=0.15)
    with pytest.raises(ValueError, match=r"weights add up to 1, .* n_effective"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins, sample_weight=normalised)


def test_errors_know_what_weights_are_worth():
    """Ten rows of weight 0.1 are one sample, a row of count 10 is ten (L. Kish 1965)."""
    spins = correlated(400, 1, stay=0.0)["spins"].values[0]
    model = PseudoLikelihood(alpha=0.0, fit_fields=False)
    once = clone(model).fit(spins, sample_weight=np.ones(400)).couplings_std_[UPPER].mean()
    redundant = clone(model).fit(np.repeat(spins, 10, axis=0), sample_weight=np.full(4000, 0.1))
    # random signs make rows independent: each standard error is known to 5 %, their mean better
    assert redundant.couplings_std_[UPPER].mean() == pytest.approx(once, rel=0.06)
    tenfold = clone(model).fit(spins, sample_weight=np.full(400, 10))
    assert tenfold.couplings_std_[UPPER].mean() == pytest.approx(once / np.sqrt(10), rel=0.06)
    repeated = PseudoLikelihood(fit_fields=False).fit(np.repeat(spins, 3, axis=0))
    counted = PseudoLikelihood(fit_fields=False).fit(spins, sample_weight=np.full(400, 3))
    assert counted.alpha_ == repeated.alpha_ == 1 / 1200  # default penalties too


def test_replicates_that_lose_a_spin_are_refused():
    spins = correlated(200, 1, stay=0.0)["spins"].values[0].copy()
    spins[:, 3] = 1
    spins[7, 3] = -1  # not drawn in a third of the replicates
    model = PseudoLikelihood(alpha=0.1, fit_fields=False).fit(spins)
    with pytest.raises(ValueError, match=r"spin 3 never change in one of the replicates.*leave refit out"):
        model.bootstrap(draws=10, random_state=14, refit=spins)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.slow
def test_threads_that_refit_leave_the_limit_of_blas_alone(monkeypatch):
    model = PseudoLikelihood(n_jobs=2, alpha=0.0, fit_fields=False).fit(correlated())
    seen, fit = [], PseudoLikelihood.fit

    def watched(self, *args, **kwargs):
        seen.extend(blas_threads())
        fitted = fit(self, *args, **kwargs)
        seen.extend(blas_threads())
        return fitted

    monkeypatch.setattr(PseudoLikelihood, "fit", watched)
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        model.bootstrap(draws=10, random_state=15, refit=correlated())
        assert blas_threads() == before
    assert set(seen) == {1}
