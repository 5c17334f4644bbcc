"""The diagnosis: three claims on known truths, and what it refuses."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from infer import MaximumLikelihood, PseudoLikelihood, diagnose
from infer.diagnosis.check import holm, nats, percent, spin_name
from simulate import KineticIsing, sample
from tests import exact

N = 9
COUPLINGS = exact.random_couplings(N, 0.6, seed=3)
CHECKS = ["means and correlations", "third moments", "number of +1", "energy"]


def planted(strength, n_samples, number):
    """Independent draws of pair couplings and three-body terms on disjoint triples."""
    states = exact.all_states(N)
    energy = exact.energies(COUPLINGS)
    energy = energy - strength * sum(states[:, 3 * k : 3 * k + 3].prod(axis=1) for k in range(3))
    weight = np.exp(-energy - np.max(-energy))
    weight /= weight.sum()
    return states[np.random.default_rng(number).choice(len(states), size=n_samples, p=weight)]


def coins(n_rows, n_spins, share=0.5, number=0):
    return np.where(np.random.default_rng(number).random((n_rows, n_spins)) < share, 1, -1).astype(np.int8)


def fit(rows, **options):
    return PseudoLikelihood(alpha=1e-4, fit_fields=True).fit(rows, **options)


def test_coin_flips_need_no_couplings_and_the_pair_model_misses_nothing():
    rows = coins(2000, 6)
    found = diagnose(fit(rows), rows)
    assert found.couplings_needed is False
    assert found.missed == ()
    assert found.stationary is True
    assert found.reversible is True
    gain, std = found.gains["pair - independent"]
    assert gain < 2 * std
    assert "These rows say nothing against independent spins" in found.claims["couplings"]
    assert "misses nothing" in found.claims["model"]


@pytest.mark.slow
def test_pair_samples_need_couplings_and_a_three_body_term_is_missed():
    rows = planted(0.0, 8000, 0)
    found = diagnose(fit(rows), rows)
    assert found.couplings_needed is True
    assert found.missed == ()
    assert [check.name for check in found.checks] == [*CHECKS, "time reversal", "drift"]
    assert [check.judges for check in found.checks] == ["fit", "model", "model", "model", "dynamics", "dynamics"]
    assert "Pair couplings pay" in found.verdict
    assert found.information.share == pytest.approx(1.0, abs=0.05)
    rows = planted(0.25, 8000, 0)
    found = diagnose(fit(rows), rows)
    assert "third moments" in found.missed
    assert found.couplings_needed is True
    assert "The pair model misses third moments" in found.claims["model"]
    assert found.information.share < 0.95


@pytest.mark.slow
def test_one_strong_pair_among_many_is_told_though_couplings_do_not_pay():
    rows = coins(300, 14)
    rows[:, 7] = np.where(np.random.default_rng(1).random(300) < 0.3, rows[:, 3], rows[:, 7])
    found = diagnose(fit(rows), rows)
    assert found.couplings_needed is None
    assert found.independence.rejected
    assert "too few rows to estimate them all" in found.claims["couplings"]
    assert "spin 3 with spin 7" in found.claims["couplings"]


def test_two_spins_are_judged_without_third_moments():
    couplings = np.array([[0.0, 0.4], [0.4, 0.0]])
    rows = exact.draw(couplings, 400, np.zeros(2), seed=1)
    found = diagnose(fit(rows), rows)
    assert "third moments" not in [check.name for check in found.checks]
    assert found.missed == ()


@pytest.mark.slow
def test_asymmetric_couplings_fail_on_time_reversal():
    J = np.random.default_rng(1).normal(0, 0.8 / 3, (N, N))
    np.fill_diagonal(J, 0)
    drawn = sample(KineticIsing(couplings=J, temperature=1.0), draws=1000, chains=2, burn_in=100, seed=0, check=False)
    found = diagnose(fit(drawn), drawn)
    assert found.reversible is False
    assert found.gains["kinetic - pair"][0] > 0
    assert found.time_reversal.entropy_production > 3 * found.time_reversal.entropy_production_std
    # the same rows shuffled have no direction, and in no order nothing is said about it
    rows = np.random.default_rng(0).permutation(drawn["spins"].values.reshape(-1, N))
    unordered = diagnose(fit(rows), rows, ordered=False)
    assert unordered.time_reversal is None
    assert unordered.reversible is None
    assert unordered.stationary is None
    assert "kinetic - pair" not in unordered.gains
    assert "no time order" in unordered.verdict


@pytest.mark.slow
def test_a_fit_that_was_not_accepted_withholds_what_rests_on_it():
    rows = planted(0.0, 2000, 1)
    strong = diagnose(PseudoLikelihood(alpha=1.0).fit(rows), rows)
    assert not strong.accepted
    assert strong.missed == ()
    assert "not judged" in strong.claims["model"]
    assert "does not have the means and correlations" in strong.claims["model"]
    assert [check.passed for check in strong.checks[:4]] == [False, None, None, None]
    stopped = SimpleNamespace(fit=None, couplings_=COUPLINGS, fields_=np.zeros(N), converged_=False)
    found = diagnose(stopped, rows)
    assert found.missed == ()
    assert "did not converge" in found.claims["model"]


@pytest.mark.slow
def test_a_model_that_ran_away_is_said_to_have_a_state_of_its_own():
    rows = np.where(np.random.default_rng(3).random((2000, 10)) < 0.03, 1, -1).astype(np.int8)
    runaway = np.full((10, 10), 0.3) - 0.3 * np.eye(10)  # all spins up are as likely as all down
    text = diagnose(runaway, rows).claims["model"]
    assert "The model has a state that the data never visit: " in text
    assert re.search(r"\d+ % of its draws have more than [1-5] spins at \+1, the most that any row has", text)
    assert not re.search(r"\de\+\d", text)
    # a penalty that is too strong has no state of its own
    found = diagnose(PseudoLikelihood(alpha=1.0).fit(planted(0.0, 2000, 1)), planted(0.0, 2000, 1))
    assert "state" not in found.claims["model"]


@pytest.mark.slow
def test_a_single_run_is_not_called_runs():
    rows = coins(600, 5)
    assert "No drift is seen (p" in diagnose(np.zeros((5, 5)), rows).claims["time"]
    rows[300:, 0] = 1
    assert re.search(
        r"The record drifts \(p <= 0.001; means[^)]*\): spin 0", diagnose(np.zeros((5, 5)), rows).claims["time"]
    )
    assert "within" not in diagnose(np.zeros((5, 5)), rows).claims["time"]


def test_counts_have_no_order_in_time():
    rows, counts = np.unique(planted(0.0, 3000, 2), axis=0, return_counts=True)
    found = diagnose(fit(rows, sample_weight=counts), rows, sample_weight=counts)
    assert found.n_samples == 3000
    assert [check.name for check in found.checks] == CHECKS
    assert found.couplings_needed is True
    assert found.missed == ()


def test_maximum_likelihood_is_judged_as_pseudo_likelihood_is():
    rows = planted(0.0, 2000, 3)
    found = diagnose(MaximumLikelihood("exact", alpha=1e-4, fit_fields=True).fit(rows), rows)
    assert found.accepted
    assert found.adequacy.fit.rms_z < 0.05
    assert found.missed == ()


@pytest.mark.slow
def test_same_seed_same_result_whatever_the_number_of_jobs():
    rows = planted(0.0, 400, 3)
    model = fit(rows)
    one, two = (diagnose(model, rows, seed=4, n_jobs=n) for n in (1, 2))
    assert json.dumps(one.to_dict(), allow_nan=False) == json.dumps(two.to_dict(), allow_nan=False)
    assert diagnose(model, rows, seed=5).to_dict() != one.to_dict()


def test_numbers_are_shown():
    rows = planted(0.0, 400, 4)
    found = diagnose(COUPLINGS, rows)
    numbers = found.to_dict()
    json.dumps(numbers, allow_nan=False)
    assert numbers["couplings_needed"] is True
    assert numbers["claims"]["time"] == found.claims["time"]
    text = found.summary()
    for claim in found.claims.values():
        assert claim in text
    assert len(repr(found)) < 200


def test_few_rows_are_judged_as_far_as_they_go():
    rows = planted(0.0, 60, 5)
    found = diagnose(fit(rows), rows)
    assert found.time_reversal is None
    assert "fewer than 12 blocks" in found.without_time
    with pytest.raises(ValueError, match="10 are too few; at least 16"):
        diagnose(COUPLINGS, rows[:10])


def test_holm_is_stepwise():
    # 0.012 < 0.05/4, 0.016 < 0.05/3, 0.03 > 0.05/2: what follows stands, too
    np.testing.assert_array_equal(holm([0.03, 0.012, 0.04, 0.016], 0.05), [True, False, True, False])
    assert holm([0.02, 0.2], 0.05).tolist() == [False, True]
    assert holm([0.03, 0.03], 0.05).all()


def test_numbers_have_as_many_digits_as_they_deserve():
    assert nats(0.06337, 0.0021) == "0.0634 +- 0.0021"
    assert nats(3.4774, 0.39) == "3.48 +- 0.39"
    assert nats(0.00123) == "0.0012"
    texts = {0.0: "0 %", 0.0499: "5.0 %", 0.2196: "22.0 %", 0.0999: "10.0 %", 0.99991: "99.9910 %", 1.0: "100 %"}
    assert {share: percent(share) for share in texts} == texts
    assert percent(0.00434) == "0.43 %"


def test_bad_input_is_named():
    rows = planted(0.0, 50, 6)
    for arguments, options, message in (
        ((COUPLINGS, rows[:, :4]), {}, r"expected shape \(n_rows, 9\)"),
        ((COUPLINGS, rows), {"false_alarms": 1.5}, "false_alarms must be between 0 and 1"),
        ((COUPLINGS, rows), {"n_folds": 1}, "n_folds must be at least 2"),
        ((SimpleNamespace(fit=None), rows), {}, "not fitted"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnose(*arguments, **options)


def test_names_that_are_numbers_read_as_names():
    # "spin 2 and 24 are both +1" and "14, 15 and 30 are all +1" were said of units called 2, 14, 15, 24 and 30
    samples = SimpleNamespace(names=("2", "24", "cell 7"))
    assert [spin_name(samples, k) for k in range(3)] == ["spin 2", "spin 24", "cell 7"]
    assert spin_name(SimpleNamespace(names=None), 1) == "spin 1"
