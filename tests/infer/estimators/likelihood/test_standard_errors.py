"""Standard errors of maximum likelihood against derivatives written out and against the scatter of repeated fits."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from infer import MaximumLikelihood, fit_from_moments
from tests import exact


def model(seed):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(5, 0.7, rng), rng.normal(0, 0.4, 5)


def packed(couplings, fields):
    return np.concatenate([couplings[np.triu_indices(5, 1)], fields])


def test_errors_of_independent_rows_are_those_of_finite_differences():
    """``(chi + A)^-1 (V / n) (chi + A)^-1``, chi by differences of exact moments, V written out as chi."""
    couplings, fields = model(0)
    alpha, n_samples, step = 0.1, 10_000, 1e-5
    found = fit_from_moments(*exact.moments(couplings, fields), n_samples, alpha=alpha)
    i, j = np.triu_indices(5, 1)

    def moments(vector):
        matrix = np.zeros((5, 5))
        matrix[i, j] = matrix[j, i] = vector[:10]
        means, second = exact.moments(matrix, vector[10:])
        return packed(second, means)

    vector = packed(found.couplings, found.fields)
    chi = np.stack([(moments(vector + e) - moments(vector - e)) / (2 * step) for e in step * np.eye(15)])
    inverse = np.linalg.inv(chi + np.diag([alpha] * 10 + [0.0] * 5))
    expected = np.sqrt(np.diag(inverse @ chi @ inverse) / n_samples)
    np.testing.assert_allclose(packed(found.couplings_std, found.fields_std), expected, rtol=1e-6)


@pytest.mark.slow
def test_errors_are_the_scatter_of_sixty_fits():
    """The mean of 15 squared scores of 60 fits: 900 of them, with a relative scatter of about sqrt(2 / 900) = 0.047.

    Bounds of 4.5 of these; correlations between the parameters of a fit make the scatter at most twice as large, for
    a false-alarm rate below 3 %, of one fixed seed.
    """
    couplings, fields = model(1)
    scores = []
    for seed in range(60):
        spins = exact.draw(couplings, 2000, fields, seed=seed)
        fitted = MaximumLikelihood(alpha=0.0, fit_fields=True).fit(spins)
        difference = packed(fitted.couplings_ - couplings, fitted.fields_ - fields)
        scores.append(difference / packed(fitted.couplings_std_ + np.eye(5), fitted.fields_std_))
    assert np.mean(np.square(scores)) == pytest.approx(1.0, abs=0.21)


def test_rows_that_last_do_not_count_as_new():
    """Each row four times in a row: errors stay those of 2000 rows; of 8000 independent ones they would be half."""
    couplings, fields = model(2)
    spins = exact.draw(couplings, 2000, fields, seed=2)
    once, often = (MaximumLikelihood(alpha=0.0, fit_fields=True).fit(X) for X in (spins, np.repeat(spins, 4, axis=0)))
    np.testing.assert_allclose(often.couplings_, once.couplings_, atol=1e-6)
    above = np.triu_indices(5, 1)
    ratio = np.sqrt(np.mean(often.couplings_std_[above] ** 2) / np.mean(once.couplings_std_[above] ** 2))
    assert ratio == pytest.approx(1.0, abs=0.15)


def test_without_errors_there_are_none():
    spins = exact.draw(model(3)[0], 200, seed=3)
    fitted = MaximumLikelihood(errors=False).fit(spins)
    with pytest.raises(AttributeError, match="errors"):
        _ = fitted.couplings_std_


@pytest.mark.validation
def test_coverage_of_exact_fits(record_property):
    """95 % intervals of 15 parameters in 200 fits: 93 to 97 % of 3000 (scatter 0.4 %, correlated at most 0.8 %)."""
    couplings, fields = model(4)
    covered = []
    for seed in range(200):
        spins = exact.draw(couplings, 2000, fields, seed=1000 + seed)
        fitted = MaximumLikelihood(fit_fields=True).fit(spins)
        difference = packed(fitted.couplings_ - couplings, fitted.fields_ - fields)
        covered.append(np.abs(difference) < 1.96 * packed(fitted.couplings_std_, fitted.fields_std_))
    record_property("coverage", float(np.mean(covered)))
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.validation
def test_coverage_of_monte_carlo_fits(record_property):
    """As above, 253 parameters of 22 spins in 30 fits of 5000 rows: 7590 intervals."""
    couplings, fields, rows = chain_of_spins()
    above = np.triu_indices(22, 1)
    covered = []
    for seed in range(30):
        fitted = MaximumLikelihood(fit_fields=True).fit(rows(5000, seed))
        difference = np.concatenate([(fitted.couplings_ - couplings)[above], fitted.fields_ - fields])
        std = np.concatenate([fitted.couplings_std_[above], fitted.fields_std_])
        covered.append(np.abs(difference) < 1.96 * std)
    record_property("coverage", float(np.mean(covered)))
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.validation
def test_coverage_and_agreement_of_monte_carlo_fits_of_few_spins(record_property):
    """78 parameters of 12 spins in 60 fits by chains and by enumeration: 4680 intervals, scatter 0.3 to 0.7 %.

    The fits differ by the noise of the chains, whose moments are within a fifth of the data's errors.
    """
    rng = np.random.default_rng(6)
    couplings, fields = exact.random_couplings(12, 0.7, rng), rng.normal(0, 0.4, 12)
    above = np.triu_indices(12, 1)

    def packed_of(model):
        return np.concatenate([model.couplings_[above], model.fields_])

    covered, distance, accepted = [], [], []
    for seed in range(60):
        spins = exact.draw(couplings, 4000, fields, seed=2000 + seed)
        chains, best = (MaximumLikelihood(method, fit_fields=True).fit(spins) for method in ("pcd", "exact"))
        std = np.concatenate([chains.couplings_std_[above], chains.fields_std_])
        truth = np.concatenate([couplings[above], fields])
        covered.append(np.abs(packed_of(chains) - truth) < 1.96 * std)
        distance.append((packed_of(chains) - packed_of(best)) / std)
        accepted.append(chains.converged_)
    record_property("coverage", float(np.mean(covered)))
    record_property("distance", float(np.sqrt(np.mean(np.square(distance)))))
    record_property("accepted", int(np.sum(accepted)))
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.sqrt(np.mean(np.square(distance))) < 0.25
    assert np.sum(accepted) >= 58


def chain_of_spins():
    """Couplings, fields and draws of an open chain of 22 spins, drawn exactly from one end to the other."""
    n_spins, rng = 22, np.random.default_rng(5)
    strength = rng.normal(0, 0.6, n_spins - 1)
    fields = rng.normal(0, 0.3, n_spins)
    couplings = np.diag(strength, 1) + np.diag(strength, -1)
    # messages from the right: log sum over all spins behind, as a field on the spin before
    message = np.zeros(n_spins)
    for spin in range(n_spins - 2, -1, -1):
        local = fields[spin + 1] + message[spin + 1]
        message[spin] = (np.log(np.cosh(strength[spin] + local)) - np.log(np.cosh(local - strength[spin]))) / 2

    def rows(n_rows, seed):
        generator = np.random.default_rng(seed)
        spins = np.zeros((n_rows, n_spins), dtype=np.int8)
        local = np.full(n_rows, fields[0] + message[0])
        for spin in range(n_spins):
            spins[:, spin] = np.where(generator.random(n_rows) < 1 / (1 + np.exp(-2 * local)), 1, -1)
            if spin + 1 < n_spins:
                local = fields[spin + 1] + message[spin + 1] + strength[spin] * spins[:, spin]
        return spins

    return couplings, fields, rows


@pytest.mark.slow
def test_two_hundred_chains_fit_22_spins():
    couplings, fields, rows = chain_of_spins()
    fitted = MaximumLikelihood("pcd", n_chains=200, fit_fields=True).fit(rows(3000, 0))
    assert fitted.converged_
    above = np.triu_indices(22, 1)
    z = np.append(
        (fitted.couplings_ - couplings)[above] / fitted.couplings_std_[above],
        (fitted.fields_ - fields) / fitted.fields_std_,
    )
    # 253 squared scores: relative scatter sqrt(2 / 253) = 0.09, and chains add a fiftieth
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.45)


@pytest.mark.slow
def test_errors_contain_the_noise_of_chains_that_were_too_short():
    """Weights of all states of a known model, as of a thousand million rows: only the chains are to blame for errors.

    The mean of 15 squared scores, correlated, each with errors from 12 chains; the seed is fixed. Without the noise of
    the chains it is in the hundreds.
    """
    couplings, fields = model(4)
    weight = np.round(1e9 * exact.boltzmann(couplings, fields))
    with pytest.warns(ConvergenceWarning, match="independent rows are too few"):
        fitted = MaximumLikelihood("pcd", 0.0, n_chains=12).fit(exact.all_states(5), sample_weight=weight)
    assert not fitted.converged_
    errors = packed(fitted.couplings_std_, fitted.fields_std_)
    scores = (packed(fitted.couplings_, fitted.fields_) - packed(couplings, fields)) / errors
    assert 0.1 < np.mean(scores**2) < 4.0
    assert errors.max() < 0.05
