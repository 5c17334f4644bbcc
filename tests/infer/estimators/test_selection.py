"""Which couplings are there: criteria held to their definitions, and graphs that are known."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.newton import Pairs
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.rows import SpinRows
from infer.estimators.screening.estimator import InteractionScreening
from infer.estimators.selection import decimate, fit_on_pairs, penalty_path
from infer.model import PairModel
from tests import exact


def ring(n_spins, strength):
    around = np.roll(np.eye(n_spins), 1, axis=0)
    return strength * (around + around.T)


@pytest.mark.parametrize("fit_fields", [False, True])
def test_exact_weights_give_back_the_couplings_of_the_true_pairs(fit_fields):
    couplings = ring(7, 0.7)
    fields = np.random.default_rng(0).normal(0, 0.3, 7) * fit_fields
    rows = SpinRows(exact.all_states(7), exact.boltzmann(couplings, fields))
    kept = couplings[np.triu_indices(7, 1)] != 0
    found, found_fields, minimum = fit_on_pairs(rows, kept, fit_fields, tol=1e-10)
    np.testing.assert_allclose(found, couplings, atol=1e-7)
    np.testing.assert_allclose(found_fields, fields, atol=1e-7)
    assert minimum.gradient_norm <= 1e-10
    # fewer pairs than there are: zero where told, and a maximum among the others
    kept[0] = False
    found, found_fields, minimum = fit_on_pairs(rows, kept, fit_fields, tol=1e-10)
    assert not np.any(Pairs(7, False).pack(found, fields)[~kept])
    assert minimum.gradient_norm <= 1e-10

    def mean_log_pseudolikelihood(couplings, fields):
        values = PairModel(couplings, fields).log_pseudolikelihood(rows.spins)
        return np.average(values, weights=rows.weight)

    best = mean_log_pseudolikelihood(found, found_fields)
    assert np.count_nonzero(found) > 0
    for i, j in np.argwhere(np.triu(found) != 0):
        for step in (1e-3, -1e-3):
            moved = found.copy()
            moved[i, j] += step
            moved[j, i] += step
            assert mean_log_pseudolikelihood(moved, found_fields) < best


def test_path_finds_the_ring_and_its_numbers_are_those_of_the_definition():
    couplings = ring(10, 0.5)
    spins = exact.draw(couplings, 2000, seed=1)
    path = penalty_path(InteractionScreening(fit_fields=False), spins, [0.01, 0.3, 0.05, 0.15, 1.2], gamma=0.5)
    np.testing.assert_array_equal(path.alphas, [1.2, 0.3, 0.15, 0.05, 0.01])
    assert path.converged
    assert path.n_couplings[0] == 0
    assert path.score[0] == pytest.approx(-10 * np.log(2))
    assert np.all(np.diff(path.n_couplings) >= 0)
    assert np.all(np.diff(path.score) >= -1e-9)
    best = path.best_by_extended_bic
    np.testing.assert_array_equal(path.couplings[best] != 0, couplings != 0)
    again = InteractionScreening(alpha=path.alphas[best], fit_fields=False).fit(spins)
    np.testing.assert_array_equal(path.couplings[best], again.couplings_)
    parameters = 2 * path.n_couplings
    bic = -2 * 2000 * path.score + parameters * (np.log(2000) + np.log(9))
    np.testing.assert_allclose(path.extended_bic, bic)
    # cross-validation prefers weaker penalties, never none of the couplings
    assert path.best_by_cross_validation >= best
    thirds = [slice(0, 400), slice(400, 800), slice(800, 1200), slice(1200, 1600), slice(1600, 2000)]
    scores = []
    for test in thirds:
        train = np.ones(2000, dtype=bool)
        train[test] = False
        scores.append(InteractionScreening(alpha=0.15, fit_fields=False).fit(spins[train]).score(spins[test]))
    assert path.held_out[2] == pytest.approx(np.mean(scores))
    assert path.held_out_std[2] == pytest.approx(np.std(scores, ddof=1) / np.sqrt(5))


def test_decimation_finds_the_ring():
    couplings = ring(10, 0.5)
    found = decimate(exact.draw(couplings, 2000, seed=2))
    assert found.converged
    assert found.n_couplings[0] == 45
    assert found.n_couplings[-1] == 0
    assert np.all(np.diff(found.n_couplings) < 0)
    assert np.all(np.diff(found.score) <= 1e-9)
    assert found.tilted[0] == pytest.approx(0.0, abs=1e-12)
    assert found.tilted[-1] == pytest.approx(0.0, abs=1e-12)
    assert found.best == np.argmax(found.tilted)
    strong = np.abs(found.couplings) > 0.25
    np.testing.assert_array_equal(strong, couplings > 0)
    assert found.n_couplings[found.best] in (9, 11)  # steps of two from 45: the ring has 10
    # what stays is not shrunk
    assert found.couplings[couplings > 0].mean() == pytest.approx(0.5, abs=4 * 1.3 / np.sqrt(10 * 2000))


def test_decimation_one_pair_at_a_time_with_fields_and_weights():
    couplings, fields = ring(6, 0.6), np.array([0.3, -0.2, 0.1, 0.0, 0.4, -0.3])
    spins = exact.draw(couplings, 3000, fields, seed=3)
    found = decimate(spins, fit_fields=True, fraction=0.01)
    np.testing.assert_array_equal(found.n_couplings, np.arange(15, -1, -1))
    np.testing.assert_array_equal(found.couplings != 0, couplings > 0)
    means = spins.mean(axis=0)
    entropy = -sum((1 + s * means) / 2 * np.log((1 + s * means) / 2) for s in (1, -1)).sum()
    assert found.score[-1] == pytest.approx(-entropy, abs=1e-6)
    counts = np.random.default_rng(4).integers(0, 3, 3000)
    weighted = decimate(spins, sample_weight=counts, fit_fields=True)
    repeated = decimate(np.repeat(spins, counts, axis=0), fit_fields=True)
    np.testing.assert_allclose(weighted.couplings, repeated.couplings, atol=1e-6)


def test_data_without_an_optimum_are_admitted():
    spins = exact.draw(ring(6, 0.5), 400, seed=5)
    spins[:, 4] = spins[:, 1]
    with pytest.warns(ConvergenceWarning, match="fits did not converge.*use InteractionScreening"):
        found = decimate(spins)
    assert not found.converged
    assert np.isfinite(found.couplings).all()
    with pytest.warns(ConvergenceWarning, match="1 of 2 refits without penalty did not converge.*cross-validation"):
        path = penalty_path(InteractionScreening(fit_fields=False), spins, [5.0, 0.1], n_folds=2)
    assert not path.converged
    with pytest.raises(ValueError, match="row 3, column 1"):
        decimate(np.where(np.arange(2400).reshape(400, 6) == 19, 0, spins))


def test_missing_values_are_refused():
    spins = exact.draw(ring(5, 0.6), 200, seed=8)
    spins[3, 1] = 0
    masked = PseudoLikelihood(penalty="l1", missing="mask", alpha=0.0, fit_fields=False)
    with pytest.raises(ValueError, match="row 3, column 1 of X is missing, and a path of penalties needs complete"):
        penalty_path(masked, spins, [0.1])


def test_constant_spins_stay_without_couplings():
    spins = exact.draw(ring(5, 0.6), 1000, seed=6)
    spins[:, 2] = 1
    with pytest.warns(ConvergenceWarning, match="spin 2 never change"):
        found = decimate(spins)
    assert not np.any(found.couplings[2])
    with pytest.warns(ConvergenceWarning, match="spin 2 never change"):
        path = penalty_path(InteractionScreening(fit_fields=False), spins, [0.1], n_folds=2)
    assert not np.any(path.couplings[:, 2])


def test_bad_input_is_named():
    spins = exact.draw(ring(5, 0.6), 20, seed=7)
    with pytest.raises(ValueError, match="fraction must be above 0"):
        decimate(spins, fraction=0.0)
    with pytest.raises(ValueError, match="alphas must be numbers of at least 0"):
        penalty_path(InteractionScreening(fit_fields=False), spins, [-1.0])
    with pytest.raises(ValueError, match="n_folds must be from 2 to the number of rows, 20, got 30"):
        penalty_path(InteractionScreening(fit_fields=False), spins, [0.1], n_folds=30)
