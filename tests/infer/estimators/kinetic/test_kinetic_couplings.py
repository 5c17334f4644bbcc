"""KineticCouplings: gives back the couplings of simulated kinetic Ising models, and says where it cannot."""

import pickle
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from infer import KineticCouplings, Samples, SpinEstimator
from simulate import KineticIsing, PersistentGlauber, sample, trajectory

VALIDATION = Path(__file__).resolve().parents[3] / "VALIDATION.md"


def asymmetric_couplings(n_spins, seed=0):
    rng = np.random.default_rng(seed)
    couplings = rng.normal(0, 1 / np.sqrt(n_spins), (n_spins, n_spins))
    np.fill_diagonal(couplings, 0)
    return couplings, rng.normal(0, 0.2, n_spins)


def parallel_samples(n_spins=6, draws=800, seed=0, **options):
    couplings, fields = asymmetric_couplings(n_spins)
    dynamics = KineticIsing(couplings, 1.3, update="parallel", fields=fields)
    return sample(dynamics, draws=draws, burn_in=50, seed=seed, **options)


def plain_rows(n_rows=300, n_spins=5, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=(n_rows, n_spins))


# they hold the scores of rows against those of the same rows in another order
ORDER_COUNTS = "the likelihood of a row depends on the row before"
IN_ORDER = dict.fromkeys(["check_methods_sample_order_invariance", "check_methods_subset_invariance"], ORDER_COUNTS)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        KineticCouplings(threshold=0.0),
        KineticCouplings(penalty="l1", alpha=0.1, n_lags=2, self_coupling=False, threshold=0.0),
        KineticCouplings("sequential", interval=0.05, threshold=0.0),
    ],
    expected_failed_checks=lambda estimator: IN_ORDER,
)
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    np.random.seed(0)  # noqa: NPY002  # checks permute rows by numpy's own generator; one order in 20 keeps the first
    check(estimator)


@pytest.mark.parametrize("update", ["parallel", "sequential"])
def test_gives_back_the_couplings_of_a_kinetic_ising_model(update):
    """100 intervals of 95 %, all independent to first order: fewer than 88 or none missed are 0.4 and 0.6 % likely."""
    n_spins, temperature = 10, 1.3
    couplings, fields = asymmetric_couplings(n_spins)
    dynamics = KineticIsing(couplings, temperature, update=update, fields=fields)
    if update == "parallel":
        data = sample(dynamics, draws=2000, chains=2, burn_in=100, seed=2)
    else:
        data = trajectory(dynamics, duration=4000, chains=2, burn_in=100, seed=2)
    model = KineticCouplings(update).fit(data)
    assert isinstance(model, SpinEstimator)
    assert model.converged_
    lower, upper = model.confidence_interval()
    inside = (lower < couplings / temperature) & (couplings / temperature < upper)
    assert 88 <= inside.sum() < 100
    lower, upper = model.confidence_interval(0.99, "fields")
    assert ((lower < fields / temperature) & (fields / temperature < upper)).sum() >= 9
    slope = (model.couplings_ * couplings).sum() / (couplings**2).sum() * temperature
    assert slope == pytest.approx(1.0, abs=0.05)


def coverage(update, n_runs, n_spins=6):
    """Share of 95 % intervals of couplings (own pasts too) and fields that hold the truth."""
    inside = []
    for seed in range(n_runs):
        couplings, fields = asymmetric_couplings(n_spins, seed)
        dynamics = KineticIsing(couplings, 1.3, update=update, fields=fields)
        if update == "parallel":
            data = sample(dynamics, draws=500, chains=4, burn_in=50, seed=seed, n_jobs=1)
        else:
            data = trajectory(dynamics, duration=1500, chains=4, burn_in=50, seed=seed)
        model = KineticCouplings(update).fit(data)
        for parameter, truth in (("couplings", couplings / 1.3), ("fields", fields / 1.3)):
            lower, upper = model.confidence_interval(0.95, parameter)
            inside.append(((lower < truth) & (truth < upper)).ravel())
    return np.concatenate(inside)


@pytest.mark.slow
@pytest.mark.parametrize("update", ["parallel", "sequential"])
def test_coverage_in_short(update):
    """8 runs of 42 intervals: the share scatters by 1.2 %, so that three of those are false alarms of 0.3 %."""
    assert 0.914 < coverage(update, 8).mean() < 0.986


@pytest.mark.validation
@pytest.mark.parametrize("update", ["parallel", "sequential"])
def test_coverage_over_two_hundred_runs(update):
    inside = coverage(update, 200)
    assert 0.93 < inside.mean() < 0.97
    with VALIDATION.open("a") as file:
        file.write(
            f"- `KineticCouplings({update!r})`, 200 models of 6 spins, seeds 0 to 199: {100 * inside.mean():.2f} % of "
            f"{len(inside)} intervals of 95 % hold the truth.\n"
        )


def test_runs_are_respected_and_a_plain_array_is_one_run():
    data = parallel_samples(draws=200, chains=3)
    rows = data["spins"].values.reshape(-1, 6)
    by_run = KineticCouplings().fit(data)
    assert by_run.n_steps_ == 3 * 199
    assert KineticCouplings().fit(rows).n_steps_ == 599
    # the same runs in another order, as Samples
    order = [2, 0, 1]
    shuffled = np.concatenate([rows.reshape(3, 200, 6)[k] for k in order])
    again = KineticCouplings().fit(Samples.of(shuffled, chains=np.repeat(order, 200)))
    np.testing.assert_allclose(again.couplings_, by_run.couplings_, atol=1e-6)
    values = by_run.score_samples(data)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), [0, 200, 400])
    assert by_run.score(data) == pytest.approx(np.nanmean(values), rel=1e-12)
    with pytest.raises(ValueError, match="counted states"):
        KineticCouplings().fit(Samples.of(rows, np.arange(600) % 3))


@pytest.mark.parametrize("update", ["parallel", "sequential"])
def test_the_score_is_the_formula_written_out(update):
    rows = plain_rows(50)
    options = {"interval": 0.1} if update == "sequential" else {}
    model = KineticCouplings(update, **options).fit(rows)
    chance = 0.1 if update == "sequential" else 1.0
    total = 0.0
    for before, after in pairwise(rows):
        for i in range(5):
            field = model.fields_[i] + model.couplings_[i] @ before
            share = chance / (1 + np.exp(-2 * after[i] * field)) + (1 - chance) * (before[i] == after[i])
            total += np.log(share)
    assert model.score(rows) == pytest.approx(total / 49, rel=1e-10)


def test_lags_and_own_past():
    """Two lags find what was put at two lags; without their own past spins have no diagonal."""
    rng = np.random.default_rng(3)
    rows = np.ones((4000, 4), dtype=np.int8)
    for t in range(2, 4000):
        field = 0.5 * np.roll(rows[t - 1], 1) - 0.4 * rows[t - 2]
        rows[t] = np.where(rng.random(4) < 1 / (1 + np.exp(-2 * field)), 1, -1)
    model = KineticCouplings(n_lags=2).fit(rows)
    assert model.couplings_.shape == model.couplings_std_.shape == (2, 4, 4)
    truth = np.stack([0.5 * np.roll(np.eye(4), 1, axis=0), -0.4 * np.eye(4)])
    # 32 numbers within 3.5 standard errors: a false alarm in 1.5 %
    assert (np.abs(model.couplings_ - truth) < 3.5 * model.couplings_std_).all()
    alone = KineticCouplings(self_coupling=False).fit(rows)
    assert not np.diag(alone.couplings_).any()
    assert not np.diag(alone.couplings_std_).any()
    assert alone.score(rows) < model.score(rows)


def test_default_penalty_is_one_prior_sample_and_weights_are_of_steps():
    rows = plain_rows()
    default, given = KineticCouplings().fit(rows), KineticCouplings(alpha=1 / 299).fit(rows)
    np.testing.assert_allclose(default.couplings_, given.couplings_, atol=1e-9)
    weight = np.ones(300)
    weight[150] = 0.0  # no step from the first to the second half, but the row is the past of the next
    cut = KineticCouplings().fit(rows, sample_weight=weight)
    runs = Samples.of(np.delete(rows, 150, axis=0), chains=np.repeat([0, 1], [150, 149]))
    assert cut.n_steps_ == 298
    assert not np.allclose(cut.couplings_, KineticCouplings(alpha=1 / 298).fit(runs).couplings_)
    twice = KineticCouplings(alpha=0.01).fit(rows, sample_weight=np.full(300, 2.0))
    np.testing.assert_allclose(twice.couplings_, KineticCouplings(alpha=0.01).fit(rows).couplings_, atol=1e-6)
    assert KineticCouplings().fit(rows, sample_weight=weight).score(rows, sample_weight=weight) < 0


def test_rows_that_do_not_fit_the_update_are_refused_or_warned_about():
    couplings, _ = asymmetric_couplings(5)
    dynamics = KineticIsing(couplings, 1.3)
    sweeps = sample(dynamics, draws=50, burn_in=0, seed=0)
    for data, options, message in (
        (sweeps, {}, "trajectory"),
        (parallel_samples(5, 20), {}, "pass update='parallel'"),
        (plain_rows(), {}, "pass interval="),
        (plain_rows(), {"interval": 0.3}, "at most 0.2"),
        (trajectory(dynamics, duration=10, seed=0), {"interval": 0.1}, "leave it out"),
        (plain_rows(), {"interval": 0.1, "n_lags": 2}, "n_lags=1"),
    ):
        with pytest.raises(ValueError, match=message):
            KineticCouplings("sequential", **options).fit(data)
    with pytest.warns(UserWarning, match="update='sequential'"):
        KineticCouplings().fit(sweeps)
    with pytest.warns(UserWarning, match="thin=1"):
        KineticCouplings().fit(parallel_samples(5, 50, thin=2))
    active = PersistentGlauber(couplings=(couplings + couplings.T) / 2, temperature=2.0, persistence=0.5)
    KineticCouplings().fit(sample(active, draws=50, burn_in=0, seed=0))  # a model of how rows predict rows: no word


@pytest.mark.parametrize("alpha", [0.0, None])
def test_pairs_that_never_follow_each_other_are_undetermined(alpha):
    rows = plain_rows(400)
    rows[1:, 3][rows[:-1, 1] == 1] = -1
    model = KineticCouplings(alpha=alpha)
    if alpha == 0.0:
        with pytest.warns(ConvergenceWarning, match="spin 3"):
            model.fit(rows)
    else:
        model.fit(rows)
        # what is known of that coupling is what the penalty says: no confidence in its value
        assert model.couplings_std_[3, 1] > 5 * np.median(model.couplings_std_)
    assert model.converged_ == (alpha is None)
    np.testing.assert_array_equal(np.argwhere(model.undetermined_), [[3, 1]])


def test_separable_rows_are_said_and_spins_that_never_change_kept():
    rows = plain_rows()
    rows[1:, 2] = rows[:-1, 0]
    with pytest.warns(ConvergenceWarning, match=r"spin 2.*alpha > 0"):
        model = KineticCouplings(alpha=0.0).fit(rows)
    assert not model.converged_
    rows = plain_rows()
    rows[:, 1] = -1
    with pytest.warns(ConvergenceWarning, match="spin 1 never change"):
        model = KineticCouplings().fit(rows)
    assert not model.couplings_[1].any()
    assert not model.couplings_[:, 1].any()
    assert model.fields_[1] < -2
    assert np.isnan(model.couplings_std_[1]).all()
    assert model.converged_
    rows[0, 1] = 1  # it changes, but no step leads to another value
    with pytest.warns(ConvergenceWarning, match="spin 1 never change"):
        model = KineticCouplings().fit(rows)
    assert model.fields_[1] < -2
    assert not model.couplings_[1].any()
    assert model.converged_


@pytest.mark.parametrize("alpha", [0.0, None])
def test_a_fit_that_was_cut_short_says_so(alpha):
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = KineticCouplings(alpha=alpha, max_iter=2).fit(parallel_samples())
    assert not model.converged_
    assert model.gradient_norm_ > model.tol


def test_no_failure_without_a_word():
    rng = np.random.default_rng(3)
    difficult = {
        "fewer rows than spins": rng.choice([-1, 1], size=(9, 12)),
        "repeated column": np.repeat(rng.choice([-1, 1], size=(300, 2)), 2, axis=1),
        "all rows equal": np.ones((20, 4)),
        "two rows": np.array([[1, -1, 1], [-1, 1, 1]]),
    }
    for kind, rows in difficult.items():
        for alpha in (None, 0.0):
            before = rows.copy()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model = KineticCouplings(alpha=alpha).fit(rows)
            assert np.isfinite(model.couplings_).all(), kind
            assert np.isfinite(model.fields_).all(), kind
            assert model.converged_ or caught, kind
            assert caught or alpha is None, kind
            assert model.converged_ == (alpha is None or kind == "all rows equal"), kind
            np.testing.assert_array_equal(rows, before)


def test_clones_pickles_searches_and_errors_on_request():
    data = plain_rows()
    model = KineticCouplings(n_lags=2).fit(data)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.couplings_std_, model.couplings_std_)
    assert restored.score(data) == model.score(data)
    search = GridSearchCV(KineticCouplings(), {"alpha": [0.01, 0.1]}, cv=KFold(2)).fit(data)
    assert search.score(data) < 0
    bare = clone(model).set_params(errors=False).fit(data)
    np.testing.assert_array_equal(bare.couplings_, model.couplings_)
    with pytest.raises(AttributeError, match="errors=True"):
        _ = bare.couplings_std_
    labelled = xr.Dataset({"spins": (("time", "spin"), data)}, coords={"spin": list("abcde")})
    assert KineticCouplings().fit(labelled).spin_names_ == tuple("abcde")
    no_fields = KineticCouplings(fit_fields=False).fit(data)
    assert not no_fields.fields_.any()
    assert not no_fields.fields_std_.any()
