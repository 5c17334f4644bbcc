"""Continuous units: precision matrices against theory, score matching against quadrature and Langevin samples."""

import pickle

import numpy as np
import pytest
from scipy.special import roots_legendre
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.continuous.estimators import GaussianCouplings, ScoreMatching
from infer.estimators.continuous.score_matching import match_scores, moments_of
from simulate import ActiveOrnsteinUhlenbeck, Harmonic, SoftSpin, sample, theory
from tests import exact


def quartic_grid(couplings, fields, stiffness, quartic, width=4.0, points=60):
    """Points of a product quadrature and their Boltzmann weights for a few units in quartic potentials."""
    x, w = roots_legendre(points)
    n = len(fields)
    grid = np.stack(np.meshgrid(*[width * x] * n, indexing="ij"), axis=-1).reshape(-1, n)
    measure = np.prod(np.stack(np.meshgrid(*[width * w] * n, indexing="ij"), axis=-1).reshape(-1, n), axis=1)
    exponent = 0.5 * np.einsum("ki,ki->k", grid @ couplings, grid) + grid @ fields
    exponent -= (stiffness * grid**2 / 2 + quartic * grid**4 / 4).sum(axis=1)
    return grid, measure * np.exp(exponent - exponent.max())


# --- precision -------------------------------------------------------------------------------------------------------


def test_precision_of_exact_moments():
    # cubature of a Gaussian: 2 n points at +-sqrt(n) along the axes of the covariance have its moments exactly
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(6, 6))
    precision = factor @ factor.T + np.eye(6)
    fields = rng.normal(size=6)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    points = np.linalg.solve(precision, fields) + np.sqrt(6) * np.vstack([root.T, -root.T])
    model = GaussianCouplings().fit(points)
    np.testing.assert_allclose(model.couplings_, np.diag(np.diag(precision)) - precision, atol=1e-10)
    np.testing.assert_allclose(model.stiffnesses_, np.diag(precision), atol=1e-10)
    np.testing.assert_allclose(model.fields_, fields, atol=1e-10)
    matched = ScoreMatching(quartic=False).fit(points)
    np.testing.assert_allclose(matched.couplings_, model.couplings_, atol=1e-10)
    np.testing.assert_allclose(matched.row_couplings_, model.couplings_, atol=1e-10)
    np.testing.assert_allclose(matched.stiffnesses_, model.stiffnesses_, atol=1e-10)
    np.testing.assert_allclose(matched.fields_, fields, atol=1e-10)
    assert not np.any(matched.quartics_)


@pytest.mark.parametrize("persistence_time", [0.0, 2.0])
def test_couplings_of_active_units_are_those_of_theory(persistence_time):
    dynamics = ActiveOrnsteinUhlenbeck(
        couplings=exact.random_couplings(6, 0.6, 1),
        persistence_time=persistence_time,
        active_temperature=0.5,
        temperature=0.1,
        potential=Harmonic(2.0),
    )
    samples = sample(dynamics, draws=600, chains=20, burn_in=30, thin=5, seed=1)
    model = GaussianCouplings(fit_fields=False).fit(samples)
    truth = theory.effective_couplings(dynamics)
    chains = samples["x"].values
    by_chain = np.array([GaussianCouplings(fit_fields=False).fit(x).couplings_ for x in chains])
    error = by_chain.std(axis=0, ddof=1) / np.sqrt(len(chains))
    above = np.triu_indices(6, 1)
    z = (model.couplings_ - truth)[above] / error[above]
    # 15 scores with 19 degrees of freedom (false alarm 4e-3 / 15 each), variances off by 0.3 % for the time step
    assert np.abs(z).max() < 4.5
    assert np.sqrt(np.mean(z**2)) < 1.8
    if persistence_time:
        bare = dynamics.couplings / (dynamics.temperature + dynamics.active_temperature)
        assert np.abs((model.couplings_ - bare)[above] / error[above]).max() > 10  # activity shows


def test_shrinkage():
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(15, 20)) @ rng.normal(size=(20, 20))
    with pytest.raises(ValueError, match=r"covariance of the 20 units has no inverse \(rank 14\).*ledoit-wolf"):
        GaussianCouplings().fit(samples)
    covariance, strength = ledoit_wolf(samples)
    model = GaussianCouplings("ledoit-wolf").fit(samples)
    assert model.shrinkage_ == pytest.approx(strength)
    np.testing.assert_allclose(model.covariance_, covariance, atol=1e-10)
    np.testing.assert_allclose(
        np.diag(model.stiffnesses_) - model.couplings_, np.linalg.inv(covariance), rtol=1e-6, atol=1e-9
    )
    full = GaussianCouplings(1.0).fit(samples)
    np.testing.assert_allclose(full.couplings_, 0.0, atol=1e-12)
    counts = rng.integers(1, 4, 15)
    repeated = GaussianCouplings("ledoit-wolf").fit(np.repeat(samples, counts, axis=0))
    weighted = GaussianCouplings("ledoit-wolf").fit(samples, sample_weight=counts)
    np.testing.assert_allclose(weighted.couplings_, repeated.couplings_, atol=1e-8)
    with pytest.raises(ValueError, match=r"weight of row 0 is 0\.5"):
        GaussianCouplings("ledoit-wolf").fit(samples, sample_weight=np.full(15, 0.5))


def test_score_is_the_log_likelihood():
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 1.0
    model = GaussianCouplings(0.1).fit(samples)
    covariance = np.linalg.inv(np.diag(model.stiffnesses_) - model.couplings_)
    deviations = samples - covariance @ model.fields_
    logs = -0.5 * np.einsum("ki,ki->k", deviations @ np.linalg.inv(covariance), deviations)
    logs -= 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    assert model.score(samples) == pytest.approx(logs.mean(), rel=1e-10)


# --- score matching --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stiffness", "quartic"), [(1.0, 0.5), (-2.0, 2.0), (0.3, 0.05)])
def test_one_unit_by_quadrature(stiffness, quartic):
    points, weight = quartic_grid(np.zeros((1, 1)), np.array([0.4]), stiffness, quartic, width=9.0, points=400)
    found = match_scores(moments_of(points, weight), quartic=True)
    np.testing.assert_allclose(np.concatenate([x.ravel() for x in found]), [0.0, 0.4, stiffness, quartic], atol=1e-8)


@pytest.mark.parametrize("fit_fields", [False, True])
def test_three_units_by_quadrature(fit_fields):
    rng = np.random.default_rng(4)
    couplings = exact.random_couplings(3, 1.0, rng)
    fields = rng.normal(0, 0.5, 3) * fit_fields
    stiffness, quartic = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    points, weight = quartic_grid(couplings, fields, stiffness, quartic)
    model = ScoreMatching(fit_fields=fit_fields).fit(points, sample_weight=weight)
    assert model.converged_
    np.testing.assert_allclose(model.row_couplings_, couplings, atol=1e-7)
    np.testing.assert_allclose(model.couplings_, couplings, atol=1e-7)
    np.testing.assert_allclose(model.fields_, fields, atol=1e-7)
    np.testing.assert_allclose(model.stiffnesses_, stiffness, atol=1e-7)
    np.testing.assert_allclose(model.quartics_, quartic, atol=1e-7)
    # a Gaussian model of the same distribution has other couplings
    assert np.abs(GaussianCouplings().fit(points, sample_weight=weight).couplings_ - couplings).max() > 0.05


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_rows_minimise_the_penalised_objective(alpha):
    rng = np.random.default_rng(5)
    samples = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4)
    weight = rng.uniform(0, 2, 500)
    couplings, fields, stiffness, quartic = match_scores(moments_of(samples, weight), True, True, alpha)

    def objective(i, J, h, a, b):
        x = samples[:, i]
        slope = samples @ J + h - a * x - b * x**3
        return np.average(slope**2 / 2 - a - 3 * b * x**2, weights=weight) + alpha / 2 * (J**2).sum()

    for i in range(4):
        best = np.concatenate([couplings[i], [fields[i], stiffness[i], quartic[i]]])
        step = 1e-4
        for k in range(7):
            if k == i:
                continue
            ends = []
            for sign in (1, -1):
                moved = best.copy()
                moved[k] += sign * step
                ends.append(objective(i, moved[:4], *moved[4:]))
            scale = sum(ends) - 2 * objective(i, best[:4], *best[4:])  # curvature times step^2
            assert scale > 0
            assert abs(ends[0] - ends[1]) < 1e-3 * scale + 1e-9


def test_soft_spins_in_equilibrium():
    # no persistence: Langevin dynamics at T + T_a, whose potential is b (x^2 - 1)^2 / 4
    n_units, barrier, temperature = 5, 1.5, 0.8
    dynamics = ActiveOrnsteinUhlenbeck(
        couplings=exact.random_couplings(n_units, 0.8, 6),
        persistence_time=0.0,
        active_temperature=0.5,
        temperature=temperature - 0.5,
        potential=SoftSpin(barrier),
        time_step=0.01,
    )
    samples = sample(dynamics, draws=500, chains=20, burn_in=20, thin=2, seed=6)
    model = ScoreMatching(fit_fields=False).fit(samples)
    fits = [ScoreMatching(fit_fields=False).fit(x) for x in samples["x"].values]
    above = np.triu_indices(n_units, 1)

    def parameters(fit):
        return np.concatenate([fit.couplings_[above], fit.stiffnesses_, fit.quartics_])

    truth = np.concatenate([dynamics.couplings[above], np.full(n_units, -barrier), np.full(n_units, barrier)])
    error = np.std([parameters(fit) for fit in fits], axis=0, ddof=1) / np.sqrt(len(fits))
    z = (parameters(model) - truth / temperature) / error
    # 20 scores with 19 degrees of freedom: false alarm 5e-3 / 20 each
    assert np.abs(z).max() < 4.5
    assert np.sqrt(np.mean(z**2)) < 1.7


def test_score_prefers_the_true_model():
    points, weight = quartic_grid(exact.random_couplings(2, 1.0, 7), np.zeros(2), -1.0, 1.0)
    quartic = ScoreMatching().fit(points, sample_weight=weight)
    gaussian = ScoreMatching(False).fit(points, sample_weight=weight)
    assert quartic.score(points, sample_weight=weight) > gaussian.score(points, sample_weight=weight) + 0.1


def test_potentials_that_confine_nothing_are_named():
    heavy = np.random.default_rng(8).standard_t(4, size=(3000, 3))
    with pytest.warns(ConvergenceWarning, match="quartic terms of units 0, 1, 2 are negative"):
        model = ScoreMatching().fit(heavy)
    assert not model.converged_


def test_bad_data_are_named():
    rng = np.random.default_rng(9)
    samples = rng.normal(size=(50, 4))
    for estimator in (GaussianCouplings(), ScoreMatching()):
        bad = samples.copy()
        bad[7, 2] = np.nan
        with pytest.raises(ValueError, match="row 7, column 2 of X is NaN"):
            estimator.fit(bad)
        bad[:, 2] = 3.0
        with pytest.raises(ValueError, match="unit 2 never change: drop these columns"):
            estimator.fit(bad)
        bad[:, 2] = bad[:, 1]
        with pytest.raises(ValueError, match=r"units has no inverse \(rank 3\).*drop the copies"):
            estimator.fit(bad)
    assert np.isfinite(ScoreMatching(False, alpha=0.1).fit(bad).couplings_).all()
    with pytest.raises(ValueError, match="too few different values for a quartic potential in units 0, 1, 2, 3"):
        ScoreMatching().fit(np.sign(samples))
    mixed = np.hstack([np.sign(samples[:, :1]), samples[:, 1:]])
    with pytest.warns(ConvergenceWarning, match="in unit 0: the quartic terms of these are set to zero"):
        model = ScoreMatching().fit(mixed)
    # each row is a regression of its own: without a quartic term in unit 0, with one in the others
    assert model.quartics_[0] == 0.0
    rows = ScoreMatching(quartic=False).fit(mixed).row_couplings_
    np.testing.assert_allclose(model.row_couplings_[0], rows[0], rtol=1e-12)
    assert (abs(model.row_couplings_[1:] - rows[1:]) > 1e-12).any(axis=1).all()


def test_units_of_measurement_do_not_matter():
    samples = np.random.default_rng(10).uniform(-1, 1, size=(500, 3)) @ np.array([[1, 0.3, 0], [0, 1, 0.2], [0, 0, 1]])
    size = np.array([1e-6, 1.0, 1e6])
    one, other = ScoreMatching().fit(samples), ScoreMatching().fit(samples * size)
    np.testing.assert_allclose(other.couplings_ * np.outer(size, size), one.couplings_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(other.quartics_ * size**4, one.quartics_, rtol=1e-8)
    gaussian = GaussianCouplings().fit(samples * size)
    np.testing.assert_allclose(
        gaussian.couplings_ * np.outer(size, size), GaussianCouplings().fit(samples).couplings_, rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("estimator", [GaussianCouplings("ledoit-wolf"), ScoreMatching(alpha=0.01)])
def test_clone_and_pickle(estimator):
    samples = np.random.default_rng(11).uniform(-1, 1, size=(400, 4))
    model = clone(estimator).fit(samples)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).couplings_, model.couplings_)
