"""Draws of a model with two states that chains do not pass between, against enumeration."""

import numpy as np
import pytest

from infer import goodness_of_fit
from infer.diagnosis import draws
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.estimators.likelihood.partition import annealed_states
from infer.model import PairModel
from tests import exact

N = 12
PATTERN = np.random.default_rng(1).choice([-1, 1], N)


def two_parties(strength, field):
    """Couplings along a pattern with some noise; the field decides how often the one party has its way."""
    couplings = strength * np.outer(PATTERN, PATTERN) + exact.random_couplings(N, 0.2, seed=2)
    np.fill_diagonal(couplings, 0.0)
    return PairModel(couplings, field * PATTERN)


@pytest.fixture
def model(monkeypatch):
    """A model whose draws come from chains although its states could be enumerated."""
    monkeypatch.setattr(draws, "MOST_EXACT_SPINS", 1)
    return two_parties(0.3, 0.03)


@pytest.mark.slow
def test_states_that_chains_do_not_pass_between_have_their_shares(model):
    truth, _ = enumerate_states(model.couplings, model.fields).moments()
    rows = exact.draw(model.couplings, 60, model.fields, seed=0)
    start = rows, rows.mean(axis=0), np.random.SeedSequence(3)
    found = draws.draw(model, 60, *start)
    assert found.annealed
    assert found.mixed
    assert found.sets.shape == (499, 60, N)

    def off(moments):  # in standard errors of 60 rows
        return np.sqrt(np.mean(60 * (moments[0] - truth) ** 2 / (1.0 - truth**2)))

    # 1,500 annealed states, at least 600 independent ones: the error is at most 60 / 600 in units of 60 rows' variance,
    # and three times its root is exceeded in 0.3 % of choices of the seed
    assert off(found.moments) < 3.0 * np.sqrt(60 / 600)
    # the plain chains keep the party that they start in
    plain = draws._from_chains(model, 499, 60, *start, 1)
    assert not plain.mixed
    assert off(plain.moments) > 1.0


def test_rows_of_a_set_are_independent(model):
    found = draws.draw(model, 60, exact.draw(model.couplings, 60, model.fields), np.zeros(N), np.random.SeedSequence(5))
    overlaps = found.sets @ PATTERN.astype(np.float64) / N
    # variance of the mean of a set: that of a row over 60, to 4 standard errors of 499 sets (sqrt(2 / 499) = 6 %)
    assert overlaps.mean(axis=1).var() == pytest.approx(overlaps.var() / 60, rel=0.25)


@pytest.mark.slow
def test_a_right_model_of_two_parties_is_not_refused(model):
    # the plain chains have moments 2 to 3 standard errors off, from which the model was refused
    found = goodness_of_fit(model, exact.draw(model.couplings, 60, model.fields, seed=1))
    assert found.annealed
    assert not found.refused
    assert "does not have the means" not in found.verdict


def test_chains_that_do_not_agree_refuse_no_fit(model, monkeypatch):
    monkeypatch.setattr(draws, "annealed_states", lambda *args, **kwargs: None)
    found = goodness_of_fit(model, exact.draw(model.couplings, 60, model.fields, seed=1))
    assert not found.mixed
    assert not found.fit.accepted  # moments of the chains' starts
    assert not found.refused
    assert "do not agree (R-hat" in found.verdict


def test_one_state_needs_no_annealing(monkeypatch):
    monkeypatch.setattr(draws, "MOST_EXACT_SPINS", 1)
    weak = PairModel(exact.random_couplings(N, 0.3, seed=4), np.zeros(N))
    rows = exact.draw(weak.couplings, 60, weak.fields)
    assert not draws.draw(weak, 60, rows, rows.mean(axis=0), np.random.SeedSequence(3)).annealed


def test_annealed_states_are_few_or_enough():
    model = two_parties(0.3, 0.03)
    seed = np.random.SeedSequence(1)
    assert annealed_states(model, 300, seed, fewest=100.0).shape == (300, N)
    assert annealed_states(model, 300, seed, fewest=1000.0) is None


@pytest.mark.slow
def test_sets_of_slow_chains_differ_as_sets_of_independent_rows(monkeypatch):
    """Six strongly coupled pairs, whose spins turn together once in some thirty sweeps."""
    monkeypatch.setattr(draws, "MOST_EXACT_SPINS", 1)
    couplings = exact.random_couplings(N, 0.1, seed=6)
    for i in range(0, N, 2):
        couplings[i, i + 1] = couplings[i + 1, i] = 1.6
    model = PairModel(couplings, np.zeros(N))
    start = exact.draw(couplings, 500), np.zeros(N), np.random.SeedSequence(7)
    n_rows = 4_000
    found = draws.draw(model, n_rows, *start)
    assert found.mixed
    own = found.sets.mean(axis=1, dtype=np.float64)
    # variances of the means of six independent pairs over 100 sets: three times sqrt(2 / 600) is exceeded by 0.3 %
    assert n_rows * np.mean(own.var(axis=0, ddof=1)) == pytest.approx(1.0, abs=0.17)
    monkeypatch.setattr(draws, "ALIKE", np.inf)  # one sweep apart
    alike = draws.draw(model, n_rows, *start).sets.mean(axis=1, dtype=np.float64)
    assert n_rows * np.mean(alike.var(axis=0, ddof=1)) < 0.83
