"""The diagnosis: known truths, what it is made of, and what it refuses."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from infer import PseudoLikelihood, diagnose, goodness_of_fit
from infer.diagnosis.diagnose import holm
from infer.samples import Samples
from simulate import KineticIsing, sample
from tests import exact

N = 9
COUPLINGS = exact.random_couplings(N, 0.6, seed=3)
NAMES = ["means", "correlations", "third moments", "number of +1", "energy", "held-out score"]


def planted(strength, n_samples, number):
    """Independent draws of pair couplings and three-body terms on disjoint triples."""
    states = exact.all_states(N)
    energy = exact.energies(COUPLINGS)
    energy = energy - strength * sum(states[:, 3 * k : 3 * k + 3].prod(axis=1) for k in range(3))
    weight = np.exp(-energy - np.max(-energy))
    weight /= weight.sum()
    return states[np.random.default_rng(number).choice(len(states), size=n_samples, p=weight)]


def fit(rows, **options):
    return PseudoLikelihood(alpha=1e-4, fit_fields=True).fit(rows, **options)


def test_pairwise_samples_pass_and_a_three_body_term_fails_on_third_moments():
    rows = planted(0.0, 8000, 0)
    found = diagnose(fit(rows), rows)
    assert found.adequate, found.summary()
    assert [check.name for check in found.checks] == [*NAMES, "time reversal", "drift"]
    assert "good enough" in found.verdict
    assert "not good enough" not in found.verdict
    rows = planted(0.25, 8000, 0)
    found = diagnose(fit(rows), rows)
    assert not found.adequate
    failed = [check.name for check in found.checks if not check.passed]
    assert "third moments" in failed
    assert "means" not in failed
    assert "correlations" not in failed
    assert "fails" in found.verdict
    assert "third moments" in found.verdict


def test_two_spins_are_judged_without_third_moments():
    couplings = np.array([[0.0, 0.4], [0.4, 0.0]])
    rows = exact.draw(couplings, 400, np.zeros(2), seed=1)
    found = diagnose(fit(rows), rows)
    assert [check.name for check in found.checks] == [
        *(name for name in NAMES if name != "third moments"),
        "time reversal",
        "drift",
    ]
    assert found.adequate, found.summary()
    assert "all 7 checks" in found.verdict


def test_asymmetric_couplings_fail_on_time_reversal():
    J = np.random.default_rng(1).normal(0, 0.8 / 3, (N, N))
    np.fill_diagonal(J, 0)
    drawn = sample(KineticIsing(couplings=J, temperature=1.0), draws=1000, chains=2, burn_in=100, seed=0, check=False)
    found = diagnose(fit(drawn), drawn)
    failed = [check.name for check in found.checks if not check.passed]
    assert failed == ["time reversal"]
    assert found.time_reversal.entropy_production > 3 * found.time_reversal.entropy_production_std
    # the same rows shuffled have no direction, and in no order nothing is said about it
    rows = np.random.default_rng(0).permutation(drawn["spins"].values.reshape(-1, N))
    assert diagnose(fit(rows), rows).time_reversal.reversible
    unordered = diagnose(fit(rows), rows, ordered=False)
    assert unordered.time_reversal is None
    assert unordered.drift is None
    assert "kinetic Ising" not in unordered.held_out.scores
    assert "no time order" in unordered.verdict


def test_parts_are_those_that_can_be_had_alone():
    rows = planted(0.0, 1000, 1)
    model = fit(rows)
    adequacy = goodness_of_fit(model, rows, random_state=5)
    found = diagnose(model, rows, adequacy=adequacy)
    assert found.adequacy is adequacy
    by_name = {check.name: check for check in found.checks}
    assert by_name["third moments"].p_value == adequacy.moments["third moments"]["p_value"]
    assert by_name["number of +1"].p_value == adequacy.sum_of_spins["p_value"]
    assert by_name["energy"].p_value == adequacy.energies["p_value"]
    assert by_name["drift"].p_value == found.drift.p_value


def test_counts_and_recordings_without_order():
    rows, counts = np.unique(planted(0.0, 3000, 2), axis=0, return_counts=True)
    recording = Samples.of(rows, counts)
    found = diagnose(fit(rows, sample_weight=counts), recording)
    assert found.n_samples == 3000
    assert [check.name for check in found.checks] == NAMES
    assert found.adequate, found.summary()
    with pytest.raises(ValueError, match="no order in time"):
        diagnose(fit(rows), rows, counts=counts, ordered=True)


def test_same_seed_same_result_whatever_the_number_of_jobs():
    rows = planted(0.0, 400, 3)
    model = fit(rows)
    one, two = (diagnose(model, rows, random_state=4, n_jobs=n) for n in (1, 2))
    assert json.dumps(one.to_dict(), allow_nan=False) == json.dumps(two.to_dict(), allow_nan=False)
    assert diagnose(model, rows, random_state=5).to_dict() != one.to_dict()


def test_numbers_are_shown():
    rows = planted(0.0, 400, 4)
    found = diagnose(COUPLINGS, rows)
    numbers = found.to_dict()
    json.dumps(numbers, allow_nan=False)
    assert numbers["checks"][0]["name"] == "means"
    assert numbers["held_out"]["refitted"] is False
    text = found.summary()
    for part in (found.verdict, found.held_out.verdict, found.time_reversal.verdict, found.drift.verdict):
        assert part in text
    assert found.verdict in repr(found)
    assert len(repr(found)) < 1000


def test_few_rows_are_judged_as_far_as_they_go():
    rows = planted(0.0, 60, 5)
    found = diagnose(fit(rows), rows)
    assert found.time_reversal is None
    assert "60 rows are too few for 12 blocks" in found.without_time
    with pytest.raises(ValueError, match="10 samples; at least 16"):
        diagnose(COUPLINGS, rows[:10])


def test_holm_is_stepwise():
    # 0.012 < 0.05/4, 0.016 < 0.05/3, 0.03 > 0.05/2: what follows stands, too
    np.testing.assert_array_equal(holm([0.03, 0.012, 0.04, 0.016], 0.05), [True, False, True, False])
    assert holm([0.02, 0.2], 0.05).tolist() == [False, True]
    assert holm([0.03, 0.03], 0.05).all()


def test_bad_input_is_named():
    rows = planted(0.0, 50, 6)
    for arguments, options, message in (
        ((COUPLINGS, rows[:, :4]), {}, r"expected shape \(n_rows, 9\)"),
        ((COUPLINGS, rows), {"level": 1.5}, "level must be between 0 and 1"),
        ((COUPLINGS, rows), {"n_folds": 1}, "n_folds must be at least 2"),
        ((SimpleNamespace(fit=None), rows), {}, "not fitted"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnose(*arguments, **options)
