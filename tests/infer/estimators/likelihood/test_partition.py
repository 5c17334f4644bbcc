"""Partition functions against enumeration written out, and chains against the Boltzmann distribution."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.estimators.likelihood.partition import LogPartition, log_likelihood, log_partition
from infer.estimators.probability_flow import MinimumProbabilityFlow
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from tests import exact


def model(n_spins, scale, seed):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(n_spins, scale, rng), rng.normal(0, 0.4, n_spins)


@pytest.mark.parametrize("n_spins", [2, 3, 9, 12])
def test_enumeration_by_halves_agrees_with_enumeration(n_spins):
    couplings, fields = model(n_spins, 1.0, 0)
    states = enumerate_states(couplings, fields)
    means, second = exact.moments(couplings, fields)
    found_means, found_second = states.moments()
    np.testing.assert_allclose(found_means, means, atol=1e-12)
    np.testing.assert_allclose(found_second, second, atol=1e-12)
    assert states.log_partition == pytest.approx(exact.log_partition(couplings, fields), abs=1e-12)
    # covariances with a function of the states, written out
    direction, field_direction = model(n_spins, 1.0, 1)
    values, probability = -exact.energies(direction, field_direction), exact.boltzmann(couplings, fields)
    weight = probability * (values - probability @ values)
    spins = exact.all_states(n_spins).astype(float)
    first, pairs = states.covariances(direction, field_direction)
    np.testing.assert_allclose(first, weight @ spins, atol=1e-12)
    np.testing.assert_allclose(pairs, (spins * weight[:, None]).T @ spins, atol=1e-12)


def test_strong_couplings_do_not_overflow():
    couplings = 500.0 * (np.ones((4, 4)) - np.eye(4))
    assert log_partition(couplings).value == pytest.approx(3000.0 + np.log(2.0))


@pytest.mark.parametrize("scale", [0.5, 1.5, 3.0])
def test_annealed_importance_sampling_within_its_error(scale):
    couplings, fields = model(12, scale, 2)
    truth = exact.log_partition(couplings, fields)
    exactly = log_partition(couplings, fields)
    assert exactly == LogPartition(pytest.approx(truth, abs=1e-10), 0.0, np.inf)
    estimates = [
        log_partition(couplings, fields, method="ais", n_chains=50, n_temperatures=100, seed=seed) for seed in range(20)
    ]
    z = np.array([(found.value - truth) / found.std for found in estimates])
    # 20 standard scores: false alarm below 1e-4 for each, but for the bias -std / 2 of a logarithm
    assert abs(z.mean()) < 4 / np.sqrt(20)
    assert 0.4 < z.std() < 2.0
    assert all(found.std < 0.2 for found in estimates)


def test_slower_annealing_errs_less():
    couplings, fields = model(12, 2.0, 3)
    fast, slow = (log_partition(couplings, fields, method="ais", n_temperatures=steps, seed=0) for steps in (20, 500))
    assert slow.std < fast.std / 2
    assert slow.effective_chains > fast.effective_chains


def test_hasty_annealing_is_admitted():
    couplings = 3.0 * (np.ones((16, 16)) - np.eye(16)) / 4
    with pytest.warns(ConvergenceWarning, match="of 100 chains carry the partition function.*raise n_temperatures"):
        log_partition(couplings, method="ais", n_chains=100, n_temperatures=2)


def test_same_seed_same_estimate():
    couplings, fields = model(25, 0.5, 4)
    found = [log_partition(couplings, fields, n_chains=20, n_temperatures=50, seed=s) for s in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_chains_sample_the_boltzmann_distribution():
    couplings, fields = model(6, 1.0, 5)
    chains = PersistentChains(np.ones((400, 6)), seed=0)
    chains.advance(couplings, fields, 30)
    by_chain = chains.advance(couplings, fields, 300, record=True).astype(float)
    assert by_chain.shape == (400, 300, 6)
    np.testing.assert_array_equal(by_chain[:, -1], chains.spins)
    means, second = exact.moments(couplings, fields)
    for found, truth in [
        (by_chain.mean(axis=1), means),
        (np.matmul(by_chain.transpose(0, 2, 1), by_chain)[:, *np.triu_indices(6, 1)] / 300, None),
    ]:
        truth = second[np.triu_indices(6, 1)] if truth is None else truth
        z = (found.mean(axis=0) - truth) / (found.std(axis=0, ddof=1) / np.sqrt(400))
        assert np.abs(z).max() < 4.2  # 21 scores: false alarm below 6e-4


def test_log_likelihood_of_a_fitted_model():
    couplings, fields = model(8, 0.8, 6)
    spins, held_out = exact.draw(couplings, 2000, fields, seed=7), exact.draw(couplings, 500, fields, seed=8)
    weight = np.random.default_rng(9).integers(0, 3, 500)
    fitted = MinimumProbabilityFlow(fit_fields=True, alpha=0.0).fit(spins)
    probability = exact.boltzmann(fitted.couplings_, fitted.fields_)
    logs = np.log(probability[exact.state_index(held_out)])
    assert log_likelihood(fitted, held_out).value == pytest.approx(logs.mean(), abs=1e-10)
    weighted = log_likelihood(fitted, held_out, sample_weight=weight)
    assert weighted.value == pytest.approx(np.average(logs, weights=weight), abs=1e-10)
    assert weighted.std == 0.0
    annealed = log_partition(fitted.couplings_, fitted.fields_, method="ais", seed=0)
    found = log_likelihood(fitted, held_out, partition=annealed)
    assert found.value == pytest.approx(logs.mean(), abs=4 * found.std)
    # models that differ are told apart
    free = MinimumProbabilityFlow(alpha=1e6, fit_fields=True).fit(spins)
    assert log_likelihood(free, held_out).value < logs.mean() - 0.05


@pytest.mark.parametrize("gap", [0, np.nan])
def test_missing_values_are_refused(gap):
    spins = exact.draw(model(4, 0.8, 10)[0], 300, seed=11).astype(float)
    spins[7, 2] = gap
    masked = PseudoLikelihood(missing="mask", alpha=0.0, fit_fields=False).fit(spins)
    with pytest.raises(ValueError, match=r"row 7, column 2 of X is missing, and a log-likelihood needs.*complete\(X\)"):
        log_likelihood(masked, spins)
    assert log_likelihood(masked, masked.complete(spins)).value < 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.zeros((2, 3)),), {}, "couplings: expected a square matrix"),
        (
            (np.array([[0, 1.0], [0.5, 0]]),),
            {},
            r"couplings must be symmetric: couplings\[0, 1\] = 1 but couplings\[1, 0\] = 0.5",
        ),
        ((np.full((2, 2), np.nan),), {}, "must be finite"),
        ((np.zeros((2, 2)), np.zeros(3)), {}, r"fields: expected shape \(2,\)"),
        ((np.zeros((2, 2)),), {"method": "magic"}, "method must be 'auto', 'exact' or 'ais'"),
        ((np.zeros((30, 30)),), {"method": "exact"}, "30 spins have too many states"),
        ((np.zeros((2, 2)),), {"method": "ais", "n_chains": 1}, "n_chains must be at least 2"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        log_partition(*arguments, **options)


@pytest.mark.slow
def test_threads_share_the_chains_and_leave_the_numbers_alone():
    couplings, fields = exact.random_couplings(23, 0.6, 3), np.linspace(-0.5, 0.5, 23)
    one, two, many = (log_partition(couplings, fields, method="ais", n_chains=7, n_jobs=jobs) for jobs in (1, 2, 16))
    assert one == two == many
