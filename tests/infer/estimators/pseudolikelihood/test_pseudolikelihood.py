"""Pseudo-likelihood against independent answers: finite differences, scikit-learn, exact enumeration."""

import pickle
import warnings

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.pseudolikelihood.nodes import node_gradients
from infer.estimators.rows import SpinRows, collapse_rows
from infer.samples import Samples
from tests import exact


def objective(spins, couplings, fields, alpha, weight=None):
    """Mean negative log pseudo-likelihood of each node plus its penalty, written out plainly."""
    margins = spins * (spins @ couplings.T + fields)
    losses = np.average(np.logaddexp(0, -2 * margins), axis=0, weights=weight)
    return losses + alpha / 2 * (couplings**2).sum(axis=1)


def plain_gradient(spins, couplings, fields, alpha, weight=None):
    """Gradients of ``objective`` in double precision."""
    spins = spins.astype(float)
    share = np.full(len(spins), 1 / len(spins)) if weight is None else weight / weight.sum()
    residual = (np.tanh(spins @ couplings.T + fields) - spins) * share[:, None]
    gradient = residual.T @ spins + alpha * couplings
    np.fill_diagonal(gradient, 0.0)
    return gradient, residual.sum(axis=0)


def some_spins(n_spins=10, n_samples=3000, scale=0.7, seed=0):
    rng = np.random.default_rng(seed)
    J = exact.random_couplings(n_spins, scale, rng)
    h = rng.normal(0, 0.2, n_spins)
    return J, h, exact.draw(J, n_samples, h, seed=rng)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_agrees_with_finite_differences(weighted):
    _, _, spins = some_spins(5, 200)
    rng = np.random.default_rng(1)
    W, b, alpha = rng.normal(0, 0.3, (5, 5)), rng.normal(0, 0.3, 5), 0.3
    np.fill_diagonal(W, 0.0)
    weight = rng.uniform(0, 2, 200) if weighted else None
    gradient, field_gradient = node_gradients(SpinRows(spins, weight), W, b, alpha, fit_fields=True)
    step = 1e-5
    for j in range(5):
        up, down = W.copy(), W.copy()
        up[:, j] += step
        down[:, j] -= step
        slope = (objective(spins, up, b, alpha, weight) - objective(spins, down, b, alpha, weight)) / (2 * step)
        others = np.arange(5) != j
        np.testing.assert_allclose(gradient[others, j], slope[others], atol=1e-9)
    slope = (objective(spins, W, b + step, alpha, weight) - objective(spins, W, b - step, alpha, weight)) / (2 * step)
    np.testing.assert_allclose(field_gradient, slope, atol=1e-9)
    assert np.all(np.diag(gradient) == 0)


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.003, 0.3, 30.0])
def test_equals_logistic_regression_of_scikit_learn(fit_fields, weighted, alpha):
    _, _, spins = some_spins(7, 1500)
    weight = np.random.default_rng(2).uniform(0, 3, len(spins)) if weighted else np.ones(len(spins))
    fitted = PseudoLikelihood(alpha=alpha, fit_fields=fit_fields, tol=1e-9).fit(
        spins, sample_weight=weight if weighted else None
    )
    couplings, fields = np.zeros((7, 7)), np.zeros(7)
    for r in range(7):
        others = np.delete(np.arange(7), r)
        # coefficients are 2 J: |coef|^2 / 2 + C sum(loss) is alpha / 2 |J|^2 + mean loss for C = 4 / (alpha n)
        model = LogisticRegression(
            C=4 / (alpha * weight.sum()), fit_intercept=fit_fields, tol=1e-10, max_iter=10_000, solver="newton-cholesky"
        )
        model.fit(spins[:, others], spins[:, r], sample_weight=weight)
        couplings[r, others], fields[r] = model.coef_[0] / 2, model.intercept_.item() / 2 if fit_fields else 0.0
    np.testing.assert_allclose(fitted.couplings_, (couplings + couplings.T) / 2, atol=1e-5)
    np.testing.assert_allclose(fitted.fields_, fields, atol=1e-5)


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_true_couplings_in_the_limit_of_infinite_data(fit_fields, scale):
    J = exact.random_couplings(8, scale, 3)
    h = np.random.default_rng(4).normal(0, 0.3, 8) * fit_fields
    fitted = PseudoLikelihood(fit_fields=fit_fields, tol=1e-9, alpha=0.0, errors=False).fit(
        exact.all_states(8), sample_weight=exact.boltzmann(J, h)
    )
    assert fitted.converged_
    np.testing.assert_allclose(fitted.couplings_, J, atol=1e-6)
    np.testing.assert_allclose(fitted.fields_, h, atol=1e-6)


@pytest.mark.parametrize(("alpha", "tol"), [(0.0, 1e-6), (0.1, 1e-6), (0.0, 1e-9), (0.02, 1e-4)])
def test_gradient_is_below_tol_when_converged(alpha, tol):
    _, _, spins = some_spins(12, 4000)
    fitted = PseudoLikelihood(alpha=alpha, fit_fields=True, tol=tol).fit(spins)
    gradient, field_gradient = plain_gradient(spins, fitted.couplings_by_node_, fitted.fields_, alpha)
    largest = max(np.abs(gradient).max(), np.abs(field_gradient).max())
    assert fitted.converged_
    assert largest <= tol * (1 + 1e-6)
    assert fitted.gradient_norm_ == pytest.approx(largest, abs=1e-12)


def test_too_few_iterations_warn_and_are_not_called_converged():
    _, _, spins = some_spins(12, 4000)
    with pytest.warns(ConvergenceWarning, match=r"did not converge in 2 passes.*raise max_iter"):
        fitted = PseudoLikelihood(max_iter=2, alpha=0.0, fit_fields=False).fit(spins)
    gradient, _ = plain_gradient(spins, fitted.couplings_by_node_, fitted.fields_, 0.0)
    assert not fitted.converged_
    assert fitted.gradient_norm_ == pytest.approx(np.abs(gradient).max(), rel=1e-6)


def test_no_penalty_ignores_alpha():
    _, _, spins = some_spins()
    without = PseudoLikelihood(penalty=None, alpha=5.0, fit_fields=False).fit(spins).couplings_
    np.testing.assert_array_equal(without, PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins).couplings_)


def test_equal_rows_and_weights_mean_the_same():
    _, _, spins = some_spins(9, 500)
    counts = np.random.default_rng(5).integers(0, 4, 500)
    by_weight = PseudoLikelihood(tol=1e-8, alpha=0.01, fit_fields=False).fit(spins, sample_weight=counts)
    by_repeats = PseudoLikelihood(tol=1e-8, alpha=0.01, fit_fields=False).fit(np.repeat(spins, counts, axis=0))
    np.testing.assert_allclose(by_weight.couplings_, by_repeats.couplings_, atol=1e-7)


def test_collapsing_equal_rows_keeps_all_averages():
    _, _, spins = some_spins(6, 2000)
    weight = np.random.default_rng(6).uniform(0, 1, 2000) * (np.arange(2000) % 3 > 0)
    for given in (None, weight):
        distinct, counts = collapse_rows(spins, given)
        assert len(np.unique(distinct, axis=0)) == len(distinct) <= 64
        share = np.ones(2000) if given is None else given
        np.testing.assert_allclose(counts.sum(), share.sum())
        np.testing.assert_allclose(
            (distinct * counts[:, None]).T @ distinct, (spins * share[:, None]).T @ spins.astype(float)
        )
    lonely = np.random.default_rng(7).choice(np.array([-1, 1], dtype=np.int8), size=(500, 40))
    assert collapse_rows(lonely, None) == (lonely, None)


def test_couplings_between_patterns_deep_in_the_ordered_phase():
    """Hopfield network at load 0.05, T = 0.5, samples around the patterns: where an unguarded step diverges."""
    rng = np.random.default_rng(8)
    n_spins, n_patterns, temperature = 60, 3, 0.5
    patterns = rng.choice([-1.0, 1.0], size=(n_patterns, n_spins))
    J = patterns.T @ patterns / n_spins / temperature
    np.fill_diagonal(J, 0.0)
    spins = np.tile(np.concatenate([patterns, -patterns]), (40, 1))
    draws = []
    for _ in range(60):
        for i in rng.permutation(n_spins):
            spins[:, i] = np.where(rng.random(len(spins)) < 1 / (1 + np.exp(-2 * spins @ J[i])), 1.0, -1.0)
        draws.append(spins.astype(np.int8))
    samples = np.concatenate(draws[10:])
    fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(samples)
    assert fitted.converged_
    assert fitted.n_iter_ < 60
    off = ~np.eye(n_spins, dtype=bool)
    assert np.corrcoef(fitted.couplings_[off], J[off])[0, 1] > 0.3
    assert np.polyfit(J[off], fitted.couplings_[off], 1)[0] == pytest.approx(1.0, abs=0.15)


def test_separable_samples_are_named_and_a_penalty_cures_them():
    rng = np.random.default_rng(9)
    spins = rng.choice([-1, 1], size=(500, 6))
    spins[:, 4] = spins[:, 1]
    with pytest.warns(ConvergenceWarning, match=r"separate spins 1, 4 perfectly.*alpha > 0"):
        fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    assert np.isfinite(fitted.couplings_).all()
    assert not fitted.converged_
    # the gradient vanishes on the way to infinity, so that a small one proves nothing
    with pytest.warns(ConvergenceWarning, match="best couplings are infinite"):
        loose = PseudoLikelihood(tol=0.1, alpha=0.0, fit_fields=False).fit(spins)
    assert loose.gradient_norm_ <= 0.1
    assert not loose.converged_
    fitted = PseudoLikelihood(alpha=0.01, fit_fields=False).fit(spins)
    assert fitted.converged_
    assert fitted.couplings_[1, 4] > 1
    # the penalty alone sets the coupling of the two copies
    np.testing.assert_array_equal(np.argwhere(~np.isfinite(fitted.couplings_std_)), [[1, 4], [4, 1]])


def test_fewer_rows_than_spins_warn_unless_penalised():
    spins = np.random.default_rng(10).choice([-1, 1], size=(20, 30))
    with pytest.warns(ConvergenceWarning, match="alpha > 0"):
        fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    assert np.isfinite(fitted.couplings_).all()
    assert PseudoLikelihood(alpha=0.05, fit_fields=False).fit(spins).converged_


def test_constant_spins():
    _, _, spins = some_spins(6, 400)
    spins[:, 2] = -1
    with pytest.warns(ConvergenceWarning, match="spin 2 never change"):
        fitted = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins)
    assert np.all(fitted.couplings_[2] == 0)
    assert fitted.fields_[2] == pytest.approx(-0.5 * np.log(801))
    others = np.delete(np.arange(6), 2)
    alone = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins[:, others])
    np.testing.assert_allclose(fitted.couplings_[np.ix_(others, others)], alone.couplings_, atol=1e-5)
    assert np.isnan(fitted.fields_std_[2])
    with pytest.raises(ValueError, match="spin 2 never change"):
        PseudoLikelihood(constant="error", alpha=0.0, fit_fields=False).fit(spins)


def test_all_rows_equal():
    with pytest.warns(ConvergenceWarning, match="spins 0, 1, 2 never change"):
        fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(np.ones((10, 3)))
    assert np.all(fitted.couplings_ == 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"row 3, column 2 of X is NaN"),
        (np.inf, r"row 3, column 2 of X is infinity"),
        (0, r"row 3, column 2 of X is 0.*threshold=0.5"),
        (255, r"row 3, column 2 of X is 255.*unsigned"),
        (0.5, r"row 3, column 2 of X is 0.5"),
    ],
)
def test_values_that_are_not_spins_are_named(value, message):
    X = np.random.default_rng(11).choice([-1.0, 1.0], size=(10, 4))
    X[3, 2] = value
    with pytest.raises(ValueError, match=message):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(X)


def test_one_row_is_refused():
    with pytest.raises(ValueError, match="1 sample"):
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(np.ones((1, 4)))


def test_dataset_recording_and_array_give_the_same():
    _, _, spins = some_spins(6, 600)
    dataset = xr.Dataset({"spins": (("chain", "draw", "spin"), spins.reshape(3, 200, 6))})
    recording = Samples(spins, chains=np.repeat(np.arange(3), 200))
    by_array, by_dataset, by_recording = (
        PseudoLikelihood(alpha=0.0, fit_fields=False).fit(X) for X in (spins, dataset, recording)
    )
    np.testing.assert_array_equal(by_array.couplings_, by_dataset.couplings_)
    np.testing.assert_array_equal(by_dataset.couplings_std_, by_recording.couplings_std_)


def test_same_result_for_any_number_of_jobs():
    rng = np.random.default_rng(12)
    spins = rng.choice([-1, 1], size=(20_000, 20))
    one, two = (PseudoLikelihood(n_jobs=n, alpha=0.0, fit_fields=False).fit(spins) for n in (1, 2))
    np.testing.assert_array_equal(one.couplings_, two.couplings_)
    np.testing.assert_array_equal(one.couplings_std_, two.couplings_std_)


def test_memory_map_and_input_left_alone(tmp_path):
    _, _, spins = some_spins(8, 5000)
    stored = np.memmap(tmp_path / "spins", dtype=np.int8, mode="w+", shape=spins.shape)
    stored[:] = spins
    before = spins.copy()
    a = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(stored).couplings_
    b = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins).couplings_
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(spins, before)


def test_score_is_the_mean_log_pseudolikelihood():
    _, _, spins = some_spins(6, 300)
    fitted = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins)
    weight = np.random.default_rng(13).uniform(size=300)
    for given in (None, weight):
        expected = -objective(spins, fitted.couplings_, fitted.fields_, 0.0, given).sum()
        assert fitted.score(spins, sample_weight=given) == pytest.approx(expected)
    assert clone(fitted).fit(np.random.default_rng(0).choice([-1, 1], (100_000, 2))).score(
        [[1, 1], [-1, 1]]
    ) == pytest.approx(-2 * np.log(2), abs=0.02)


def test_pickle_keeps_standard_errors_but_not_the_samples():
    _, _, spins = some_spins(6, 30_000)
    fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    stored = pickle.dumps(fitted)
    np.testing.assert_array_equal(pickle.loads(stored).couplings_std_, fitted.couplings_std_)
    assert len(stored) < spins.nbytes / 4  # influences of 100 batches, no rows


def sticky_samples(J, h, n_samples, stay, rng):
    """A stationary series that keeps its state with probability ``stay``: tau_int = (1 + stay) / (1 - stay)."""
    fresh = exact.draw(J, n_samples, h, seed=rng)
    new = rng.random(n_samples) >= stay
    new[0] = True
    return fresh[np.maximum.accumulate(np.where(new, np.arange(n_samples), 0))]


@pytest.mark.slow
@pytest.mark.parametrize("stay", [0.0, 0.8])
def test_standard_errors_cover_the_truth(stay):
    """25 data sets x 21 numbers; 95 % intervals must cover 90 to 99 %, and must not when correlations are ignored.

    525 mildly dependent trials: a true coverage of 95 % (standard error about 1.2 %) leaves the band with p < 1e-3.
    """
    n_spins = 6
    J, h = exact.random_couplings(n_spins, 0.6, 14), np.random.default_rng(15).normal(0, 0.2, n_spins)
    upper = np.triu_indices(n_spins, 1)
    inside, naive_inside = [], []
    for seed in range(25):
        spins = sticky_samples(J, h, 4000, stay, np.random.default_rng([16, seed]))
        fitted = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins)
        naive = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins, sample_weight=np.ones(len(spins)))
        for model, record in ((fitted, inside), (naive, naive_inside)):
            record.append(np.abs(model.couplings_ - J)[upper] < 1.96 * model.couplings_std_[upper])
            record.append(np.abs(model.fields_ - h) < 1.96 * model.fields_std_)
    coverage, naive_coverage = np.concatenate(inside).mean(), np.concatenate(naive_inside).mean()
    assert 0.90 < coverage < 0.99
    if stay:
        assert naive_coverage < 0.70
    else:
        assert 0.90 < naive_coverage < 0.99


def test_counts_count_as_repeats_in_standard_errors():
    _, _, spins = some_spins(6, 4000)
    states, counts = np.unique(spins, axis=0, return_counts=True)
    by_counts = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(states, sample_weight=counts)
    by_rows = PseudoLikelihood(fit_fields=True, alpha=0.0).fit(spins)
    upper = np.triu_indices(6, 1)
    # 63 and 64 batches, each giving a standard error known to about 9 %
    ratio = by_counts.couplings_std_[upper] / by_rows.couplings_std_[upper]
    assert 0.85 < ratio.mean() < 1.15


def test_couplings_that_rows_do_not_determine_have_replicates():
    # a report on 243 units ended with "entry [0, 0, 99] is nan": some units never fired in the same bin
    spins = np.where(np.random.default_rng(0).random((4000, 6)) < 0.3, 1, -1)
    spins[(spins[:, :2] > 0).all(axis=1), 1] = -1
    fit = PseudoLikelihood(alpha=1e-9).fit(spins)
    assert np.isnan(fit.couplings_std_[0, 1])
    replicates = fit.bootstrap_couplings(100, random_state=0)
    assert (replicates[:, 0, 1] == fit.couplings_[0, 1]).all()
    known = ~np.isnan(fit.couplings_std_) & ~np.eye(6, dtype=bool)
    assert known.sum() == 28
    # errors of the estimator are widened for rare pairs, which these are not; 100 replicates give spreads to 7 %
    np.testing.assert_allclose(replicates.std(axis=0)[known], fit.couplings_std_[known], rtol=0.4)


def test_bootstrap_spreads_as_the_standard_errors_say():
    _, _, spins = some_spins(6, 3000)
    fitted = PseudoLikelihood(alpha=0.0, fit_fields=False).fit(spins)
    replicates = fitted.bootstrap_couplings(2000, random_state=0)
    upper = np.triu_indices(6, 1)
    assert replicates.shape == (2000, 6, 6)
    np.testing.assert_array_equal(replicates, replicates.transpose(0, 2, 1))
    np.testing.assert_allclose(replicates.std(axis=0)[upper], fitted.couplings_std_[upper], rtol=0.1)
    np.testing.assert_array_equal(replicates, fitted.bootstrap_couplings(2000, random_state=0))


def random_problem(seed):
    """Spins of a random system with Gibbs sweeps, from hot to frozen, few samples to many."""
    rng = np.random.default_rng([17, seed])
    n_spins, n_samples = int(rng.integers(3, 61)), int(np.exp(rng.uniform(np.log(20), np.log(5000))))
    temperature = float(np.exp(rng.uniform(np.log(0.2), np.log(5.0))))
    J = exact.random_couplings(n_spins, 1.0, rng) / temperature
    spins = rng.choice([-1.0, 1.0], size=(n_samples, n_spins))
    for _ in range(10):
        for i in range(n_spins):
            spins[:, i] = np.where(rng.random(n_samples) < 1 / (1 + np.exp(-2 * spins @ J[i])), 1.0, -1.0)
    return spins, {"alpha": float(rng.choice([0.0, 0.001, 0.1])), "fit_fields": bool(rng.integers(2))}


def names_separable(warning):
    """Whether a warning says that the best couplings are infinite."""
    return "best couplings are infinite" in str(warning.message)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"penalty": "l1", "alpha": 0.01}, {"symmetrisation": "joint"}])
@pytest.mark.parametrize("seed", range(8))
def test_random_problems_with_other_penalties_converge_or_say_so(seed, options):
    spins, other = random_problem(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = PseudoLikelihood(**{**other, **options}).fit(spins)
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    assert np.isfinite(fitted.couplings_).all()
    assert fitted.converged_ or caught
    assert fitted.converged_ == (fitted.gradient_norm_ <= 1e-6 and not any(names_separable(w) for w in caught))


def check_random_problem(seed):
    spins, options = random_problem(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = PseudoLikelihood(**options).fit(spins)
    said = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert len(said) == len(caught)
    gradient, field_gradient = plain_gradient(spins, fitted.couplings_by_node_, fitted.fields_, options["alpha"])
    varying = ~(spins == spins[0]).all(axis=0)
    largest = np.abs(gradient[varying]).max()
    if options["fit_fields"]:
        largest = max(largest, np.abs(field_gradient[varying]).max())
    assert np.isfinite(fitted.couplings_).all()
    assert np.isfinite(fitted.fields_).all()
    assert fitted.converged_ == (largest <= 1e-6 * (1 + 1e-6) and not any(names_separable(w) for w in said))
    assert fitted.converged_ or said
    if options["alpha"] > 0:
        assert fitted.converged_
    return fitted


@pytest.mark.parametrize("seed", range(25))
def test_random_problems_converge_or_say_so(seed):
    check_random_problem(seed)


@pytest.mark.validation
def test_two_hundred_random_problems_converge_or_say_so():
    for seed in range(200):
        check_random_problem(seed)
