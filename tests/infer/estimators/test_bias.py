"""The estimated temperature bias against the bias itself, seen over many data sets whose couplings are known."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from infer import PseudoLikelihood, temperature_bias
from infer.estimators.bias import _summarise
from infer.samples import Samples
from tests import exact

N_SPINS = 12
UPPER = np.triu_indices(N_SPINS, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("n_samples", "repeats", "penalty"), [(400, 1, "l2"), (350, 4, "l2"), (350, 1, "firth")])
def test_estimated_bias_is_the_bias(n_samples, repeats, penalty):
    """Means over data sets. The actual slope has the larger error, 0.05 / sqrt(40) of its mean.

    Repeated rows are samples that remember each other: a formula that takes rows as independent would find a quarter.
    """
    rng = np.random.default_rng(1)
    couplings = exact.random_couplings(N_SPINS, 0.8, rng)
    truth = couplings[UPPER]
    slopes, temperatures, found = [], [], []
    for trial in range(40):
        spins = np.repeat(exact.draw(couplings, n_samples, seed=rng), repeats, axis=0)
        model = PseudoLikelihood(penalty, tol=1e-5, alpha=0.0, fit_fields=False)
        if trial < 4:
            found.append(temperature_bias(model, spins))
        inferred = model.fit(spins).couplings_[UPPER]
        slopes.append(inferred @ truth / (truth @ truth))
        temperatures.append(np.sqrt((truth @ truth) / (inferred @ inferred)))
    error = np.std(slopes) / np.sqrt(40)
    scale = np.mean([bias.coupling_scale for bias in found])
    assert scale == pytest.approx(np.mean(slopes), abs=4 * error)
    assert np.mean([bias.apparent_temperature for bias in found]) == pytest.approx(np.mean(temperatures), abs=0.04)
    assert np.mean(temperatures) < 0.95
    if penalty == "firth":
        assert abs(scale - 1) < 0.02
    else:
        assert scale - 1 > 4 * error
    said = np.mean([bias.coupling_scale_std for bias in found])
    assert 0.3 < said / np.std([bias.coupling_scale for bias in found]) < 3
    assert all(bias.converged and bias.n_groups == 10 for bias in found)


def test_formula_for_given_fits():
    """The jackknife written out for one data set."""
    spins = exact.draw(exact.random_couplings(4, 0.8, 2), 300, seed=3)
    found = temperature_bias(PseudoLikelihood(tol=1e-8, alpha=0.0, fit_fields=False), spins, n_groups=3)
    upper = np.triu_indices(4, 1)
    couplings = PseudoLikelihood(tol=1e-8, alpha=0.0, fit_fields=False).fit(spins).couplings_
    # 17 batches (the square root of 300), dealt out to the groups in turn
    labels = (np.arange(300) * 17) // 300 % 3
    without = np.array(
        [
            PseudoLikelihood(tol=1e-8, alpha=0.0, fit_fields=False).fit(spins[labels != k]).couplings_[upper]
            for k in range(3)
        ]
    )
    inferred = couplings[upper]
    bias = 2 * (without.mean(axis=0) - inferred)
    variance = 2 / 3 * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    scale = 1 / (1 - (bias @ inferred) / (inferred @ inferred))
    assert found.coupling_scale == pytest.approx(scale, abs=1e-5)
    assert found.noise_share == pytest.approx(variance.sum() / (inferred @ inferred), abs=1e-5)
    assert found.apparent_temperature == pytest.approx(np.sqrt(1 - found.noise_share) / scale, abs=1e-5)
    np.testing.assert_allclose(found.couplings, couplings / scale, atol=1e-5)


def test_counts_chains_and_jobs():
    spins = exact.draw(exact.random_couplings(5, 0.8, 4), 3000, seed=5)
    states, counts = np.unique(spins, axis=0, return_counts=True)
    by_rows = temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins)
    by_counts = temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), states, sample_weight=counts, n_jobs=2)
    assert by_counts.coupling_scale == pytest.approx(by_rows.coupling_scale, abs=0.01)
    assert (
        by_counts.coupling_scale
        == temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), states, counts).coupling_scale
    )
    chains = Samples(spins, chains=np.repeat(np.arange(3), 1000))
    assert temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), chains).coupling_scale == pytest.approx(
        1.0, abs=0.02
    )


def test_a_group_that_alone_holds_a_spin_is_named():
    spins = exact.draw(exact.random_couplings(5, 0.8, 7), 400, seed=8)
    spins[:, 3] = 1
    spins[25:28, 3] = -1  # in one batch of 20 rows
    with pytest.raises(ValueError, match=r"spin 3 never change without one of the 10 groups.*drop these columns"):
        temperature_bias(PseudoLikelihood(alpha=0.01, fit_fields=False), spins)
    states, counts = np.unique(spins, axis=0, return_counts=True)
    counts[states[:, 3] == -1] = 0
    counts[np.argmax(states[:, 3] == -1)] = 1
    with pytest.raises(ValueError, match="spin 3 never change without one"):
        temperature_bias(PseudoLikelihood(alpha=0.01, fit_fields=False), states, sample_weight=counts)


def test_threads_that_fit_leave_the_limit_of_blas_alone(monkeypatch):
    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    seen, fit = [], PseudoLikelihood.fit

    def watched(self, X, y=None, sample_weight=None):
        if sample_weight is not None:  # not the fit to all samples
            seen.extend(blas_threads())
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(PseudoLikelihood, "fit", watched)
    spins = exact.draw(exact.random_couplings(5, 0.8, 4), 3000, seed=5)
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins, n_jobs=2)
        assert blas_threads() == before
    assert set(seen) == {1}


def test_what_cannot_be_estimated_is_said():
    rng = np.random.default_rng(6)
    spins = rng.choice([-1, 1], size=(40, 8))
    with pytest.raises(ValueError, match="n_groups must be at least 2"):
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins, n_groups=1)
    with pytest.raises(ValueError, match="5 rows cannot be shared out to 10 groups"):
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins[:5])
    with pytest.raises(ValueError, match="4 samples cannot be shared out to 10 groups"):
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins[:4], sample_weight=np.ones(4))
    couplings, without = np.diag([0.1], 1) + np.diag([0.1], -1), np.array([[0.4], [-0.3]])
    with pytest.raises(ValueError, match="not larger than their noise"):
        _summarise(couplings, (np.array([0]), np.array([1])), without, True)
    with pytest.raises(ValueError, match="fewer than two spins vary"):
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), np.ones((20, 3)))
    spins = rng.choice([-1, 1], size=(200, 5))
    spins[:, 3] = spins[:, 1]
    with pytest.warns(ConvergenceWarning) as caught:
        temperature_bias(PseudoLikelihood(alpha=0.0, fit_fields=False), spins)
    assert any("not all fits without a group" in str(w.message) for w in caught)
