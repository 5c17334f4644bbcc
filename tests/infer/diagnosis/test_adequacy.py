"""Goodness of fit: moments and their errors against plain numpy and enumeration, and verdicts that are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from infer.diagnosis.adequacy import MOMENTS, goodness_of_fit, moment_test
from infer.samples import Samples
from infer.statistics.moments import (
    batch_moments,
    batches_by_label,
    batches_by_thinning,
    choose_triples,
    cumulants,
)
from tests import exact

N = 8
COUPLINGS = exact.random_couplings(N, 0.8, seed=3)
FIELDS = np.random.default_rng(0).normal(0.0, 0.3, size=N)
ALL = choose_triples(N, 1000, np.random.SeedSequence(0))


def seed(value=0):
    return np.random.SeedSequence(value)


def plain_cumulants(spins, triples):
    means = spins.mean(axis=0)
    delta = spins - means
    upper = np.triu_indices(spins.shape[1], 1)
    third = [(delta[:, i] * delta[:, j] * delta[:, k]).mean() for i, j, k in triples]
    return means, (delta.T @ delta / len(spins))[upper], np.array(third)


def equal_batches(spins, n_batches, triples=ALL):
    labels = np.arange(len(spins)) * n_batches // len(spins)
    return cumulants(batch_moments(spins, batches_by_label(labels), triples))


def test_cumulants_are_those_of_plain_numpy():
    spins = exact.draw(COUPLINGS, 3001, FIELDS, seed=1)
    ours = equal_batches(spins, 7)
    for name, plain in zip(MOMENTS, plain_cumulants(spins, ALL), strict=True):
        np.testing.assert_allclose(ours[name].values, plain, atol=1e-12)
        np.testing.assert_allclose(ours[name].deviations.sum(axis=0), 0.0, atol=1e-12)
    sums, counts = np.unique(spins.sum(axis=1, dtype=int), return_counts=True)
    probability = np.zeros(N + 1)
    probability[(sums + N) // 2] = counts / len(spins)
    np.testing.assert_allclose(ours["sum of spins"].values, probability, atol=1e-12)


def test_rows_with_counts_are_repeated_rows():
    spins = exact.draw(COUPLINGS, 40_000, FIELDS, seed=1)
    rows, counts = np.unique(spins, axis=0, return_counts=True)
    assert counts.max() > 16  # several binary digits
    dealt = batch_moments(rows, batches_by_thinning(counts, 400, seed(5)), ALL)
    assert dealt.n_samples == 40_000
    np.testing.assert_allclose(dealt.weights, 1 / 400, atol=0.0015)  # six standard deviations of a share
    ours = cumulants(dealt)
    for name, plain in zip(MOMENTS, plain_cumulants(spins, ALL), strict=True):
        np.testing.assert_allclose(ours[name].values, plain, atol=1e-12)
    # independent samples: errors as from contiguous batches of the unsorted rows, a ratio known to 5 % an entry
    for name, other in equal_batches(spins, 400).items():
        assert np.median(ours[name].std / other.std) == pytest.approx(1.0, abs=0.1)


def test_errors_are_the_spread_over_repeats():
    # 300 repeats give a spread known to 4 % an entry; its median over entries is compared
    repeats = [equal_batches(exact.draw(COUPLINGS, 2000, FIELDS, seed=s), 40) for s in range(300)]
    for name in MOMENTS:
        spread = np.std([each[name].values for each in repeats], axis=0, ddof=1)
        claimed = np.sqrt(np.mean([each[name].std ** 2 for each in repeats], axis=0))
        assert np.median(claimed / spread) == pytest.approx(1.0, abs=0.05)


def test_errors_know_of_rows_that_repeat():
    spins = exact.draw(COUPLINGS, 800, FIELDS, seed=1)
    once, tenfold = equal_batches(spins, 40), equal_batches(np.repeat(spins, 10, axis=0), 40)
    for name in MOMENTS:
        np.testing.assert_allclose(tenfold[name].std, once[name].std, rtol=1e-9)


def test_false_alarms_come_at_the_stated_rate():
    # 200 repeats at level 0.05: more than 22 false alarms with probability 4e-4, fewer than 2 with 4e-4
    rng = np.random.default_rng(5)
    alarms, squares = np.zeros(3), np.zeros(3)
    for repeat in range(200):
        observed = equal_batches(exact.draw(COUPLINGS, 1000, FIELDS, seed=rng), 25)
        predicted = equal_batches(exact.draw(COUPLINGS, 2000, FIELDS, seed=rng), 20)
        tests = [moment_test(observed[name], predicted[name], (1000, 2000), seed(repeat)) for name in MOMENTS]
        alarms += [test["p_value"] <= 0.05 for test in tests]
        squares += [test["rms_z"] ** 2 for test in tests]
    assert np.all((alarms >= 2) & (alarms <= 22)), alarms
    np.testing.assert_allclose(np.sqrt(squares / 200), 1.0, atol=0.08)


def test_predictions_are_those_of_enumeration():
    spins = exact.draw(COUPLINGS, 1000, FIELDS)
    states, weight = exact.all_states(N).astype(float), exact.boltzmann(COUPLINGS, FIELDS)
    delta = states - weight @ states
    truth = {
        "means": weight @ states,
        "correlations": np.array(
            [weight @ (delta[:, i] * delta[:, j]) for i, j in zip(*np.triu_indices(N, 1), strict=True)]
        ),
        "third moments": np.array([weight @ (delta[:, i] * delta[:, j] * delta[:, k]) for i, j, k in ALL]),
    }
    seeds = [goodness_of_fit(COUPLINGS, spins, fields=FIELDS, random_state=seed) for seed in range(10)]
    for name, values in truth.items():
        groups = [found.moments[name] for found in seeds]
        squares = [np.mean(((group["predicted"] - values) / group["predicted_std"]) ** 2) for group in groups]
        # 20 batches: mean of t^2 is 19/17. Over sets of ten seeds it scatters by 0.24 (means), 0.12 and 0.10 (measured
        # with sixty): three standard deviations below and four above
        assert 0.4 < np.mean(squares) < 2.1
        assert groups[0]["indices"].shape == (len(values), MOMENTS.index(name) + 1)
    found = seeds[0]
    sums = found.sum_of_spins
    plain = [weight @ (states.sum(axis=1) == value) for value in sums["values"]]
    np.testing.assert_allclose(sums["predicted"], plain, atol=0.01)
    energy = exact.energies(COUPLINGS, FIELDS)
    assert found.energies["predicted_mean"] == pytest.approx(weight @ energy, abs=0.1)


@pytest.mark.parametrize("data_seed", range(4))
def test_samples_of_the_model_itself_pass(data_seed):
    # three p-values in each of four cases: one below 0.001 by chance in 1.2 % of choices of the seeds
    found = goodness_of_fit(COUPLINGS, exact.draw(COUPLINGS, 20_000, FIELDS, seed=data_seed), fields=FIELDS)
    assert all(group["p_value"] > 0.001 for group in found.moments.values())
    assert "within errors" in found.verdict
    assert found.r_hat < 1.02


def test_three_body_terms_fail_on_third_moments_only():
    # exp(K s0 s1 s2) on disjoint triples leaves means and correlations at zero: no pair couplings can see it
    states = exact.all_states(9)
    energy = -0.2 * sum(states[:, 3 * k : 3 * k + 3].prod(axis=1) for k in range(3))
    weight = np.exp(-energy) / np.exp(-energy).sum()
    spins = states[np.random.default_rng(0).choice(len(states), size=20_000, p=weight)]
    found = goodness_of_fit(np.zeros((9, 9)), spins)
    assert found.moments["third moments"]["p_value"] <= 0.001
    assert all(found.moments[name]["p_value"] > 0.005 for name in ("means", "correlations"))
    assert "fails on third moments" in found.verdict
    group = found.moments["third moments"]
    planted = group["observed"][[tuple(t) in {(0, 1, 2), (3, 4, 5), (6, 7, 8)} for t in group["indices"]]]
    np.testing.assert_allclose(planted, np.tanh(0.2), atol=0.04)


def test_wrong_couplings_and_wrong_fields_fail():
    spins = exact.draw(COUPLINGS, 20_000, FIELDS, seed=1)
    cold = goodness_of_fit(0.8 * COUPLINGS, spins, fields=FIELDS)
    assert cold.moments["correlations"]["p_value"] <= 0.001
    unbiased = goodness_of_fit(COUPLINGS, spins)
    assert unbiased.moments["means"]["p_value"] <= 0.001
    assert "fails on" in unbiased.verdict


def test_same_seed_same_result_whatever_the_number_of_jobs():
    spins = exact.draw(COUPLINGS, 500, FIELDS, seed=1)
    one, two = (goodness_of_fit(COUPLINGS, spins, n_draws=200, random_state=4, n_jobs=n) for n in (1, 2))
    assert one.to_dict() == two.to_dict()
    assert goodness_of_fit(COUPLINGS, spins, n_draws=200, random_state=5).to_dict() != one.to_dict()


def test_estimators_datasets_and_recordings_are_understood():
    spins = exact.draw(COUPLINGS, 600, FIELDS, seed=1)
    fitted = SimpleNamespace(fit=None, couplings_=COUPLINGS, fields_=FIELDS)
    plain = goodness_of_fit(COUPLINGS, spins, fields=FIELDS, chains=np.repeat([0, 1, 2], 200), n_draws=100)
    dataset = xr.Dataset({"spins": (("chain", "draw", "spin"), spins.reshape(3, 200, N))})
    assert goodness_of_fit(fitted, dataset, n_draws=100).to_dict() == plain.to_dict()
    rows, counts = np.unique(spins, axis=0, return_counts=True)
    recording = Samples.of(rows, counts)
    with_counts = goodness_of_fit(fitted, recording, n_draws=100)
    assert with_counts.n_samples == 600
    for name in MOMENTS:
        np.testing.assert_allclose(with_counts.moments[name]["observed"], plain.moments[name]["observed"], atol=1e-12)
    assert "independent" in with_counts.error_method
    with pytest.raises(ValueError, match="not fitted"):
        goodness_of_fit(SimpleNamespace(fit=None), spins)


def test_spins_that_never_change_do_no_harm():
    spins = exact.draw(COUPLINGS, 500, FIELDS, seed=1)
    spins[:, 2] = 1
    found = goodness_of_fit(COUPLINGS, spins, fields=FIELDS, n_draws=100)
    json.dumps(found.to_dict(), allow_nan=False)
    assert all(np.isfinite(group["rms_z"]) for group in found.moments.values())


def test_results_are_ready_for_json_and_terminals():
    found = goodness_of_fit(COUPLINGS, exact.draw(COUPLINGS, 500, FIELDS), fields=FIELDS, n_draws=100)
    numbers = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert numbers["moments"]["means"]["rms_z"] == found.moments["means"]["rms_z"]
    assert found.verdict in found.summary()


def test_triples_are_all_or_a_choice_without_repeats():
    assert len(ALL) == 56
    some = choose_triples(30, 500, seed(1))
    assert len(np.unique(some, axis=0)) == 500
    assert np.all((some[:, 0] < some[:, 1]) & (some[:, 1] < some[:, 2]) & (some[:, 2] < 30))
    np.testing.assert_array_equal(some, choose_triples(30, 500, seed(1)))
    # every spin is met about equally often: chi-square of 30 counts, 3e-4 above 62
    met = np.bincount(some.ravel(), minlength=30)
    assert np.sum((met - 50) ** 2 / 50) < 62


def test_two_spins_have_no_third_moments():
    couplings = np.array([[0.0, 0.4], [0.4, 0.0]])
    found = goodness_of_fit(couplings, exact.draw(couplings, 400, np.zeros(2), seed=1))
    assert list(found.moments) == ["means", "correlations"]
    assert found.moments["correlations"]["observed"].shape == (1,)
    assert "third" not in found.verdict + found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_bad_input_is_named():
    spins = exact.draw(COUPLINGS, 50, FIELDS)
    broken = COUPLINGS.copy()
    broken[1, 2] = np.inf
    wrong = spins.copy()
    wrong[3, 4] = 0
    cases = [
        ((broken, spins), {}, r"couplings: entry \[1, 2\] is inf"),
        ((COUPLINGS, wrong), {}, "row 3, column 4"),
        ((COUPLINGS, spins[:, :5]), {}, r"expected shape \(n_rows, 8\)"),
        ((COUPLINGS, spins), {"fields": np.zeros(3)}, r"fields: expected shape \(8,\)"),
        ((COUPLINGS, spins), {"fields": np.full(N, np.nan)}, "fields: entry 0 is nan"),
        ((COUPLINGS, spins), {"counts": np.full(50, 0.5)}, "counts: weights must be whole numbers"),
        ((COUPLINGS, spins), {"counts": np.ones(50), "chains": np.zeros(50)}, "either counts or chains"),
        ((COUPLINGS, spins), {"chains": np.zeros(49)}, r"chains: expected shape \(50,\)"),
        ((COUPLINGS, spins[:5]), {}, "5 samples; at least 16"),
        ((COUPLINGS, spins), {"n_chains": 1}, "n_chains must be at least 4"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            goodness_of_fit(*arguments, **options)
