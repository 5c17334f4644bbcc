"""Held-out scores against plain numpy and enumeration, and models whose order is known."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from infer.diagnosis.held_out import fit_kinetic, held_out_scores, kinetic_log_likelihood
from infer.estimators.likelihood.partition import LogPartition
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from simulate import KineticIsing, sample
from tests import exact

N = 8
COUPLINGS = exact.random_couplings(N, 0.8, seed=3)
FIELDS = np.random.default_rng(0).normal(0.0, 0.3, size=N)


def seed(value=0):
    return np.random.SeedSequence(value)


def score(rows, *, counts=None, chains=None, ordered=True, estimator=None, **options):
    return held_out_scores(estimator, COUPLINGS, FIELDS, rows, counts, chains, ordered=ordered, seed=seed(), **options)


def test_kinetic_couplings_are_those_of_scikit_learn():
    rows = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(400, 5))
    rows[1:, 2] = np.where(np.random.default_rng(1).random(399) < 0.7, rows[:-1, 4], rows[1:, 2])
    ours = fit_kinetic(rows[:-1], rows[1:], alpha=0.01)
    for i in range(5):
        # the logit of p(s_i = +1) is 2 (h + J s), so that scikit-learn's coefficients are 2 J
        theirs = LogisticRegression(C=1 / (399 * 0.01 / 4), tol=1e-8, max_iter=500).fit(rows[:-1], rows[1:, i])
        np.testing.assert_allclose(2 * ours[i, :-1], theirs.coef_[0], atol=2e-3)
        assert 2 * ours[i, -1] == pytest.approx(theirs.intercept_[0], abs=2e-3)
    plain = [np.log(1 / (1 + np.exp(-2 * rows[1:] * (rows[:-1] @ ours[:, :-1].T + ours[:, -1])))).sum(axis=1)]
    np.testing.assert_allclose(kinetic_log_likelihood(rows[:-1], rows[1:], ours), plain[0], atol=1e-12)


def test_scores_are_log_likelihoods():
    rows = exact.draw(COUPLINGS, 40_000, FIELDS, seed=1)
    found = score(rows)
    weight = exact.boltzmann(COUPLINGS, FIELDS)
    entropy = float(weight @ np.log(weight))
    assert abs(found.scores["pairwise"] - entropy) < 4 * found.scores_std["pairwise"]
    means = exact.moments(COUPLINGS, FIELDS)[0]
    up = (1 + means) / 2
    independent = float(np.sum(up * np.log(up) + (1 - up) * np.log(1 - up)))
    assert abs(found.scores["independent"] - independent) < 4 * found.scores_std["independent"] + 1e-3
    # independent rows: the row before says nothing that the means do not
    assert abs(found.scores["kinetic Ising"] - independent) < 4 * found.scores_std["kinetic Ising"] + 2e-3
    assert found.differences["pairwise - independent"]["p_value"] > 0.999
    assert not found.refitted
    assert "given" in found.note


def test_partition_functions_of_the_folds_are_independent(monkeypatch):
    # the same model in all folds: what is drawn in one of them must say nothing about the next
    seeds = []

    def drawn(couplings, fields, *, random_state):
        seeds.append(random_state)
        return LogPartition(0.0, 0.4, 100.0)

    monkeypatch.setattr("infer.diagnosis.held_out.log_partition", drawn)
    rows = exact.draw(COUPLINGS, 400, FIELDS, seed=1)
    found = score(rows, n_folds=4)
    assert len(set(seeds)) == len(seeds) == found.n_folds == 4
    assert found.scores_std["pairwise"] > 0.4 / np.sqrt(4)


def test_counts_are_repeated_rows():
    rows = exact.draw(COUPLINGS, 20_000, FIELDS, seed=1)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    packed, plain = score(distinct, counts=counts, ordered=False), score(rows, ordered=False)
    assert "kinetic Ising" not in packed.scores
    for name in ("independent", "pairwise"):
        assert packed.scores[name] == pytest.approx(plain.scores[name], abs=4e-3)
        assert packed.scores_std[name] == pytest.approx(plain.scores_std[name], rel=0.05)
    assert packed.n_samples == plain.n_samples == 20_000


def test_the_model_is_fitted_without_the_rows_it_is_judged_by():
    # free spins, more couplings than rows: a fit looks good on its own rows and bad on others
    rows = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(60, 12))
    model = PseudoLikelihood(alpha=0.01, fit_fields=True).fit(rows)
    found = held_out_scores(model, model.couplings_, model.fields_, rows, None, None, ordered=True, seed=seed())
    seen = held_out_scores(None, model.couplings_, model.fields_, rows, None, None, ordered=True, seed=seed())
    assert found.refitted
    assert found.scores["pairwise"] < found.scores["independent"] < seen.scores["pairwise"]
    assert found.differences["pairwise - independent"]["p_value"] < 0.01
    assert "overfitted" in found.verdict


def test_kinetic_model_wins_where_the_past_acts():
    J = np.zeros((6, 6))
    J[np.arange(6), (np.arange(6) + 1) % 6] = 1.0  # each spin follows its neighbour of the step before
    drawn = sample(
        KineticIsing(couplings=J, temperature=1.0, update="parallel"), draws=1500, chains=2, seed=0, check=False
    )
    rows = drawn["spins"].values.reshape(-1, 6)
    model = PseudoLikelihood(alpha=1e-3, fit_fields=True).fit(drawn)
    found = held_out_scores(
        model, model.couplings_, model.fields_, rows, None, np.repeat([0, 1], 1500), ordered=True, seed=seed()
    )
    gain = found.differences["kinetic Ising - pairwise"]
    assert gain["p_value"] < 1e-6
    # the true conditional entropy of a row
    p = 1 / (1 + np.exp(-2.0))
    truth = 6 * (p * np.log(p) + (1 - p) * np.log(1 - p))
    assert abs(found.scores["kinetic Ising"] - truth) < 4 * found.scores_std["kinetic Ising"] + 0.02
    assert abs(found.differences["pairwise - independent"]["difference"]) < 0.02
    json.dumps(found.to_dict(), allow_nan=False)
