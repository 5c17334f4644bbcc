"""Dask arrays, on threads and on a real cluster of processes, give what the same rows in memory give."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.screening.estimator import InteractionScreening
from simulate import Glauber, sample
from tests import exact

# both fits end with gradients below 1e-8, and curvatures are above 1e-2 here: they may differ by some 1e-6
CLOSE = {"atol": 2e-6}


def some_spins(n_rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    return exact.draw(exact.random_couplings(9, 0.8, rng), n_rows, rng.normal(0, 0.2, 9), seed=rng)


def check_equal(by_blocks, by_rows):
    assert by_blocks.converged_
    np.testing.assert_allclose(by_blocks.couplings_, by_rows.couplings_, **CLOSE)
    np.testing.assert_allclose(by_blocks.fields_, by_rows.fields_, **CLOSE)
    np.testing.assert_allclose(by_blocks.couplings_std_, by_rows.couplings_std_, rtol=1e-3)
    np.testing.assert_allclose(by_blocks.fields_std_, by_rows.fields_std_, rtol=1e-3)


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of one thread each."""
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as running,
        Client(running),
    ):
        yield running


@pytest.mark.slow
def test_on_a_cluster(cluster):
    spins = some_spins(6000)
    array = da.from_array(spins, chunks=(2100, 4))
    by_blocks, by_rows = (PseudoLikelihood(fit_fields=True, tol=1e-8, alpha=0.0).fit(X) for X in (array, spins))
    check_equal(by_blocks, by_rows)
    assert by_blocks.score(array) == pytest.approx(by_rows.score(spins), abs=1e-7)
    spins[4345, 6] = 0
    with pytest.raises(ValueError, match="row 4345, column 6 of X is 0"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(da.from_array(spins, chunks=(2100, -1)))


@pytest.mark.slow
def test_inside_joblibs_dask_backend(cluster):
    # work on shared arrays stays on threads of this process; whole fits, as of a grid search, go to the workers
    spins = some_spins(2000)
    with parallel_config(backend="dask", n_jobs=2):
        inside = [
            model.fit(spins)
            for model in (
                PseudoLikelihood(n_jobs=2, alpha=0.0, fit_fields=False),
                InteractionScreening(alpha=0.05, n_jobs=2, fit_fields=False),
            )
        ]
        search = GridSearchCV(PseudoLikelihood(alpha=0.0, fit_fields=False), {"alpha": [0.003, 0.3]}, cv=3).fit(spins)
        drawn = sample(Glauber(inside[0].couplings_, 1.0), draws=10, chains=4, seed=0, n_jobs=2, check=False)
    outside = [
        model.fit(spins)
        for model in (PseudoLikelihood(alpha=0.0, fit_fields=False), InteractionScreening(alpha=0.05, fit_fields=False))
    ]
    for found, expected in zip(inside, outside, strict=True):
        np.testing.assert_array_equal(found.couplings_, expected.couplings_)
    expected = GridSearchCV(PseudoLikelihood(alpha=0.0, fit_fields=False), {"alpha": [0.003, 0.3]}, cv=3).fit(spins)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert drawn.identical(sample(Glauber(inside[0].couplings_, 1.0), draws=10, chains=4, seed=0, check=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.01, "fit_fields": True},
        {"penalty": "l1", "alpha": 0.02},
        {"penalty": "elasticnet", "alpha": 0.02, "fit_fields": True},
        {"symmetrisation": "joint", "fit_fields": True},
        {"penalty": "firth"},
    ],
)
def test_all_penalties_on_threads(options):
    spins = some_spins()
    array = da.from_array(spins, chunks=(700, -1))
    by_blocks, by_rows = (PseudoLikelihood(**options, tol=1e-8).fit(X) for X in (array, spins))
    np.testing.assert_allclose(by_blocks.couplings_, by_rows.couplings_, **CLOSE)
    np.testing.assert_allclose(by_blocks.fields_, by_rows.fields_, **CLOSE)


@pytest.mark.slow
def test_weights_constant_spins_and_real_values():
    spins = some_spins()
    spins[:, 3] = 1
    weight = np.random.default_rng(1).integers(0, 3, len(spins)).astype(float)
    weight[700:1400] = 0.0  # a block of no weight
    values = spins * np.random.default_rng(2).uniform(0.1, 2.0, spins.shape) + 5.0
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        by_rows = PseudoLikelihood(fit_fields=True, tol=1e-8, alpha=0.0).fit(spins, sample_weight=weight)
    array = da.from_array(values, chunks=(700, 5))
    with pytest.warns(ConvergenceWarning, match="spin 3 never change"):
        by_blocks = PseudoLikelihood(fit_fields=True, tol=1e-8, threshold=5.0, alpha=0.0).fit(
            array, sample_weight=weight
        )
    check_equal(by_blocks, by_rows)
    assert by_blocks.score(array, sample_weight=weight) == pytest.approx(by_rows.score(spins, sample_weight=weight))
    values[1500, 2] = np.nan
    with pytest.raises(ValueError, match="row 1500, column 2 of X is NaN"):
        PseudoLikelihood(threshold=5.0, alpha=0.0, fit_fields=False).fit(da.from_array(values, chunks=(700, -1)))


@pytest.mark.slow
def test_chains_of_a_dataset_inform_the_error_bars():
    spins = some_spins().reshape(3, 1000, 9)
    inner = xr.Dataset({"spins": (("chain", "draw", "spin"), spins)})
    outer = xr.Dataset({"spins": (("chain", "draw", "spin"), da.from_array(spins, chunks=(1, 300, -1)))})
    check_equal(*(PseudoLikelihood(fit_fields=True, tol=1e-8, alpha=0.0).fit(data) for data in (outer, inner)))


@pytest.mark.slow
def test_posterior_and_bootstrap():
    spins = some_spins()
    array = da.from_array(spins, chunks=(700, -1))
    by_blocks, by_rows = (PseudoLikelihood(tol=1e-8, alpha=0.0, fit_fields=False).fit(X) for X in (array, spins))
    for name in ("posterior", "bootstrap"):
        found, expected = (getattr(model, name)(draws=20, random_state=3) for model in (by_blocks, by_rows))
        np.testing.assert_allclose(found["couplings"], expected["couplings"], atol=1e-4)
    with pytest.raises(ValueError, match="refit needs samples in memory"):
        by_blocks.bootstrap(draws=2, refit=array)


@pytest.mark.slow
def test_unknown_sizes_and_other_estimators():
    spins = some_spins()
    array = da.from_array(spins, chunks=(700, -1))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(array[array[:, 0] > 0])
    with pytest.raises(ValueError, match="at least 2 rows"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(array[:1])
    with pytest.raises(ValueError, match="X has 5 features, but PseudoLikelihood is expecting 9"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(array).score(array[:, :5])
    # others read the array into memory
    by_blocks, by_rows = (InteractionScreening(alpha=0.05, fit_fields=False).fit(X) for X in (array, spins))
    np.testing.assert_array_equal(by_blocks.couplings_, by_rows.couplings_)
