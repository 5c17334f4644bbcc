"""Models that run away from the data, and fits without a finite optimum."""

import dataclasses

import numpy as np
import pytest
from scipy.special import gammaln
from sklearn.exceptions import ConvergenceWarning

from infer import MaximumLikelihood, PseudoLikelihood
from infer.estimators.likelihood import maximise as maximise_module
from infer.estimators.likelihood.acceptance import check, runaway
from infer.estimators.likelihood.chain_moments import run_chains, run_states
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.terms import Terms
from infer.model import PairModel
from tests import exact


def mostly_silent(n_rows, seed):
    """The silent one of the two states of uniformly coupled spins, which has 4e-7 of the weight; drawn by the count."""
    n = 40
    count = np.arange(n + 1)
    total = 2 * count - n
    log_weight = gammaln(n + 1) - gammaln(count + 1) - gammaln(n - count + 1) + 1.8 / n * total**2 / 2 + 0.2 * total
    weight = np.where(total < -0.3 * n, np.exp(log_weight - log_weight.max()), 0.0)
    rng = np.random.default_rng(seed)
    up = rng.choice(n + 1, size=n_rows, p=weight / weight.sum())
    return np.where(rng.random((n_rows, n)).argsort(axis=1).argsort(axis=1) < up[:, None], 1, -1).astype(np.int8)


def seed():
    return np.random.SeedSequence(3)


def moments(spins):
    return spins.mean(axis=0), spins.T.astype(float) @ spins / len(spins)


def test_states_without_moments_are_those_of_runs_with_moments():
    couplings, fields = exact.random_couplings(9, 0.4, seed=1), np.full(9, -0.3)
    terms = Terms(9, fit_fields=True)
    vector = terms.pack(couplings, fields, np.zeros(10))
    starts = np.ones((6, 9), dtype=np.int8)
    with_moments = run_chains(terms, vector, PersistentChains(starts, seed()), np.zeros(9), 40, most_states=50)
    alone = run_states(terms, vector, PersistentChains(starts, seed()), 40, most_states=50)
    assert len(alone) >= 50
    np.testing.assert_array_equal(alone, with_moments.states)


def test_couplings_that_see_only_the_neighbourhood_of_the_data_run_away():
    spins = mostly_silent(20_000, 0)
    fitted = PseudoLikelihood(errors=False).fit(spins)
    found = runaway(PairModel.of(fitted), *moments(spins), states=spins)
    assert found.ran_away
    assert found.share_from_data > 0.5
    assert found.activity < 0.1 < 0.5 < found.activity_from_data
    assert "has a state that the data never visit" in found.sentence
    # the same data, and a model that stays with them: independent spins with their means
    means, second = moments(spins)
    good = PairModel.of(np.zeros((40, 40)), np.arctanh(means))
    stays = runaway(good, means, second, states=spins)
    assert not stays.ran_away
    assert stays.sentence == ""
    assert stays.activity_from_data == pytest.approx(stays.activity, abs=0.01)


@pytest.mark.parametrize("fit_fields", [False, True])
def test_a_good_fit_has_not_run_away(fit_fields):
    rng = np.random.default_rng(1)
    couplings, fields = exact.random_couplings(10, 1.5, rng), rng.normal(0, 0.4, 10) * fit_fields
    spins = exact.draw(couplings, 3000, fields, seed=1)
    fitted = MaximumLikelihood(errors=False, fit_fields=fit_fields).fit(spins)
    # drawn states in place of rows, too
    assert not runaway(PairModel.of(fitted), *moments(spins), fit_fields=fit_fields).ran_away
    assert not runaway(PairModel.of(fitted), *moments(spins), states=spins, fit_fields=fit_fields).ran_away


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exact", "pcd"])
def test_combinations_that_never_vary_have_no_finite_optimum(method):
    """Three spins of which one or two are up, all six states alike: no pair has an empty cell, but s_1 + s_2 + s_3
    is +-1 always; with a fourth spin equal to that sum the combination vanishes.
    """
    rows = np.array([(a, b, c, a + b + c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1) if abs(a + b + c) == 1])
    spins = np.tile(rows, (50, 1))
    with pytest.warns(ConvergenceWarning, match="best couplings are infinite.*pass alpha > 0"):
        fitted = MaximumLikelihood(method, 0.0, errors=False).fit(spins)
    assert not fitted.converged_
    assert np.isfinite(fitted.couplings_).all()


@pytest.mark.slow
def test_more_rows_than_chains_can_be_held_against_end_the_fit(monkeypatch):
    """A thousand million rows of four spins: chains of 240,000 states cannot match their moments."""
    couplings, fields = exact.random_couplings(4, 0.5, seed=2), np.array([0.3, -0.2, 0.0, 0.1])
    n_checks = []

    def counted(*args, **options):
        n_checks.append(check(*args, **options))
        return n_checks[-1]

    monkeypatch.setattr(maximise_module, "check", counted)
    run = {"method": "pcd", "seed": 3, "n_chains": 12}
    found = maximise_module.maximise(*exact.moments(couplings, fields), 1e9, **run)
    assert len(n_checks) == 1  # further steps would be measured no better
    assert not found.converged
    accepted = found.acceptance
    assert accepted.lost_in_noise
    # a noise of z errors of n rows is that of n / z^2 rows; conditional means make it less than that of the states
    assert accepted.worth == pytest.approx(1e9 / accepted.noise**2, rel=0.3)
    assert 1e5 < accepted.worth < 5e6
    assert "independent rows are too few to match the moments of 1,000,000,000" in found.message
    assert np.abs(found.couplings - couplings).max() < 0.02  # ten errors of the chains
    # where something else speaks against the fit, further steps may mend it
    for change in ({"p_data": 1e-6}, {"p_starts": 1e-6, "start_gap": 3.0}, {"ran_away": True}, {"noise": 0.3}):
        assert not dataclasses.replace(accepted, **change).lost_in_noise
