"""The way from samples to numbers: same numbers as its parts, sensible defaults, warnings kept, strict JSON."""

import dataclasses
import json
import math
import warnings

import numpy as np
import pytest

from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.likelihood.estimator import MaximumLikelihood
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.files.json import now, plain, readable_attributes
from infer.report import analyse
from infer.report.layout import measured
from infer.report.page import json_text
from infer.report.sections.dreaming import dreaming_sentence, family_sentence
from infer.report.steps import fit_rate
from infer.statistics.uncertainty import convergence
from simulate import Glauber, PersistentGlauber, sample
from tests.exact import draw
from tests.infer.report.conftest import hebbian_of, patterns_of


def test_numbers_are_those_of_the_parts(simulated, dataset, patterns):
    model = PseudoLikelihood(alpha=1 / 2400).fit(dataset)
    np.testing.assert_array_equal(simulated.couplings, model.couplings_)
    np.testing.assert_array_equal(simulated.couplings_std, model.couplings_std_)
    assert simulated.fit.score == model.score(dataset)
    rate = DreamingModel(patterns).fit(dataset)
    assert simulated.dreaming.rate == rate.rate_
    assert simulated.dreaming.rate_interval == rate.rate_interval_
    np.testing.assert_allclose(simulated.means, dataset["spins"].values.reshape(-1, 12).mean(axis=0), atol=1e-15)
    assert simulated.similarity.reference == "patterns"
    r_hat = convergence(dataset)["spins_r_hat"].values
    np.testing.assert_array_equal(simulated.convergence.groups["spins"]["r_hat"], r_hat)


def test_monitored_energy_and_overlaps(simulated, dataset, patterns):
    spins = dataset["spins"].values.astype(float)
    energy = -0.5 * np.einsum("cdi,ij,cdj->cd", spins, simulated.couplings, spins)
    check = dataset.assign(energy=(("chain", "draw"), energy)).assign(
        overlap=(("chain", "draw", "pattern"), spins @ patterns.T / 12)
    )
    found = convergence(check)
    groups = simulated.convergence.groups
    np.testing.assert_allclose(groups["energy"]["r_hat"], [float(found["energy_r_hat"])], rtol=1e-9)
    np.testing.assert_allclose(groups["overlaps"]["ess"], found["overlap_ess"].values, rtol=1e-6)
    assert simulated.convergence.ess_threshold == 400


def test_rate_and_temperature_of_equilibrium_samples_agree_with_the_truth(simulated):
    # independent samples at T = 1.5: both estimates within 4 standard errors (false alarm rate below 1e-4 each)
    found = simulated.dreaming
    assert abs(found.rate) < 4 * found.rate_std
    assert abs(found.inverse_temperature - 1 / 1.5) < 4 * found.inverse_temperature_std
    assert simulated.headline()["rate"] == found.rate


@pytest.mark.slow
def test_fields_are_fitted_for_recordings_and_not_for_simulations_without_fields(simulated, recorded, dataset):
    assert not simulated.fit.fit_fields
    assert not simulated.fields.any()
    assert recorded.fit.fit_fields
    assert recorded.fields.all()
    assert recorded.similarity.reference == "data correlations"
    assert recorded.dreaming is None
    with_fields = dataset.assign_attrs(fields=np.full(12, 0.1))
    assert analyse(with_fields).fit.fit_fields
    assert not analyse(with_fields, fit_fields=False).fit.fit_fields


@pytest.mark.slow
def test_counts_weigh_as_repeated_rows(recorded, recording):
    repeated = np.repeat(recording.spins, recording.counts, axis=0)
    whole = analyse(repeated)
    np.testing.assert_allclose(recorded.couplings, whole.couplings, atol=1e-5)
    np.testing.assert_allclose(recorded.means, whole.means, atol=1e-12)
    assert recorded.similarity.best_rate == pytest.approx(whole.similarity.best_rate, rel=1e-3)
    assert (recorded.data.n_samples, recorded.data.n_rows) == (3000, len(recording.spins))
    # an array is one run in time order, rows with counts have none
    assert whole.convergence.applicable
    assert not recorded.convergence.applicable


def test_patterns_that_come_with_a_recording_are_used(recording):
    patterns = np.unique(recording.spins, axis=0)[[0, 3, 9]]
    found = analyse(dataclasses.replace(recording, patterns=patterns))
    assert found.similarity.reference == "patterns"
    assert found.data.n_patterns == 3


def test_maximum_likelihood_is_the_default_for_recordings(simulated, recorded, recording):
    assert simulated.fit.method == "pseudolikelihood"
    assert (recorded.fit.method, recorded.fit.estimator) == ("maximum-likelihood", "MaximumLikelihood")
    np.testing.assert_array_equal(recorded.couplings, MaximumLikelihood(fit_fields=True).fit(recording).couplings_)
    assert recorded.couplings_by_node is None
    assert recorded.diagnosis.accepted
    assert not recorded.runaway.ran_away
    by_choice = analyse(recording, method="pseudolikelihood", seed=5)
    assert by_choice.fit.chosen == "as asked for"
    assert by_choice.couplings_by_node is not None
    with pytest.raises(ValueError, match="unknown method 'guess'"):
        analyse(recording, method="guess")


def test_the_control_has_rate_zero(simulated):
    # four standard errors: false alarm rate below 1e-4
    assert simulated.control.determined
    assert abs(simulated.control.rate) < 4 * simulated.control.rate_std
    assert simulated.to_dict()["control"]["rate"] == simulated.control.rate


def test_results_are_dataclasses_with_to_dict(simulated):
    numbers = simulated.to_dict()
    for name in ("data", "fit", "network", "dreaming", "control", "convergence"):
        assert getattr(simulated, name).to_dict() == numbers[name]


@pytest.mark.slow
def test_same_numbers_for_any_number_of_threads(simulated, dataset, patterns):
    other = analyse(dataset, patterns, source="simulated", seed=5, n_jobs=2)
    first, second = simulated.to_dict(), other.to_dict()
    for numbers in (first, second):
        del numbers["parameters"], numbers["created"]
    assert json_text(first) == json_text(second)


def test_source_is_the_name_of_the_file_without_its_folders(recorded, simulated):
    assert "somebody" not in json_text(recorded.to_dict())
    assert recorded.source.endswith("more.npz")
    assert simulated.source == "simulated"


@pytest.mark.slow
def test_warnings_are_kept_not_issued(patterns):
    spins = draw(hebbian_of(patterns), 40, temperature=1.0, seed=3)
    spins[:, 5] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = analyse(spins)
    assert any("spin 5" in text and "never change" in text for text in found.warnings)
    assert any("40 samples are few for 66 couplings" in text for text in found.warnings)


@pytest.mark.slow
def test_chains_that_disagree_are_reported(dataset, patterns):
    spins = dataset["spins"].copy()
    spins[0, :, :6] = np.where(np.random.default_rng(0).random((600, 6)) < 0.9, 1, spins[0, :, :6])
    found = analyse(spins.to_dataset(), patterns)
    assert found.convergence.worst_r_hat > 1.05
    assert any(text.startswith("Chains disagree") for text in found.warnings)
    assert "do not agree" in found.convergence.note


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"names": ["a", "b"]}, "names: 2 were given for 12 spins"),
        ({"patterns": np.ones((2, 5))}, r"patterns: expected shape \(n_patterns, 12\)"),
    ],
)
def test_what_does_not_fit_is_refused(dataset, keywords, message):
    with pytest.raises(ValueError, match=message):
        analyse(dataset, **keywords)


@pytest.mark.parametrize(
    ("spins", "message"),
    [
        (np.ones(5), "expected an array"),
        (np.array([[1, -1], [1, 0]] * 20), "row 1, column 1 of X is 0"),
        (np.array([[1, np.nan], [1, -1]] * 20), "row 0, column 1 of X is NaN"),
    ],
)
def test_samples_that_are_not_spins_are_refused(spins, message):
    with pytest.raises(ValueError, match=message):
        analyse(spins)


def test_json_is_strict_and_holds_the_matrices(analysis):
    text = json_text(analysis.to_dict())
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    for name in ("couplings", "reference_couplings", "hebbian_couplings"):
        expected = getattr(analysis.similarity, name)
        np.testing.assert_allclose(read[name], expected, rtol=1e-8)
    assert read["similarity"]["best_rate"] == analysis.similarity.best_rate
    assert read["adequacy"]["moments"]["third moments"]["rms_z"] == analysis.adequacy.moments["third moments"]["rms_z"]


def test_couplings_that_are_large_by_chance_come_last(simulated):
    first = simulated.strongest_couplings(2)
    errors = simulated.couplings_std.copy()
    for pair, std in zip(first, (14.0, math.nan), strict=True):
        errors[pair["i"], pair["j"]] = errors[pair["j"], pair["i"]] = std
    uncertain = dataclasses.replace(simulated, couplings_std=errors)
    n_pairs = len(errors) * (len(errors) - 1) // 2
    ranked = uncertain.strongest_couplings(n_pairs)
    assert not [pair for pair in uncertain.strongest_couplings() if pair["std"] > 1.0 or math.isnan(pair["std"])]
    assert {(pair["i"], pair["j"]) for pair in first} <= {(pair["i"], pair["j"]) for pair in ranked}


def test_strongest_couplings(simulated):
    strongest = simulated.strongest_couplings(5)
    sizes = [abs(pair["coupling"]) for pair in strongest]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == np.abs(simulated.couplings).max()
    first = strongest[0]
    assert first["i"] < first["j"]
    assert first["z"] == first["coupling"] / simulated.couplings_std[first["i"], first["j"]]


def test_plain():
    found = plain({"a": np.float64("nan"), "b": [np.inf, -math.inf], 3: np.int8(2), "m": np.array([[1 / 3, 0.0]])})
    assert found == {"a": None, "b": ["inf", "-inf"], "3": 2, "m": [[0.333333333, 0.0]]}
    assert plain(np.array([[1e-310, -1e300]])) == [[pytest.approx(1e-310, rel=1e-6), -1e300]]
    assert plain((True, "x", None)) == [True, "x", None]
    assert plain(np.array([2 / 3, np.nan, -np.inf])) == [0.666666667, None, "-inf"]
    assert plain(np.array([[True, False]])) == [[True, False]]
    assert plain(np.arange(3)) == [0, 1, 2]
    assert plain(np.array(["a"])) == ["a"]
    assert plain(np.zeros((0, 2))) == []


def test_attributes_are_cut_and_cleaned():
    found = readable_attributes({"long": "x" * 1000, "bad\x00": "\x1b", "array": np.arange(3), "n": np.int64(4)})
    assert found == {"long": "x" * 299 + "…", "bad�": "�", "array": "[0, 1, 2]", "n": 4}


def test_the_date_can_be_fixed(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert now() == "1970-01-01 00:00 UTC"


def test_the_page_says_when_samples_lie_outside_of_the_dreaming_family(simulated):
    found, cosine = simulated.dreaming, simulated.similarity
    assert math.isnan(found.family_p_value)  # three patterns are too few
    inside = dataclasses.replace(found, family_p_value=0.4)
    assert family_sentence(dataclasses.replace(simulated, dreaming=inside)).startswith("Nothing shows")
    outside = dataclasses.replace(simulated, dreaming=dataclasses.replace(found, family_p_value=1e-5))
    said = family_sentence(outside)
    assert "not exactly those of any dreamed couplings (p <= 0.001)" in said
    assert f"by the cosine of the couplings it is {measured(cosine.best_rate, cosine.best_rate_std)}." in said
    assert said in dreaming_sentence(outside)
    open_ended = dataclasses.replace(cosine, best_rate_interval=(0.0, math.inf))
    said = family_sentence(dataclasses.replace(outside, similarity=open_ended))
    assert said.endswith("and depends on the method.")
    assert family_sentence(simulated) == ""


@pytest.mark.slow
def test_driven_samples_are_told_from_the_dreaming_family_and_equilibrium_samples_are_not():
    stored = patterns_of(8, 40, seed=0)
    found = [
        fit_rate(sample(dynamics, draws=8000, chains=4, thin=4, seed=1, check=False), stored, fit_fields=False)
        for dynamics in (Glauber(hebbian_of(stored), 1.0), PersistentGlauber(hebbian_of(stored), 1.0, 0.8))
    ]
    assert found[0].family_p_value > 0.01  # false alarms: 1 %
    assert found[1].family_p_value < 1e-4
    assert found[1].family_gain > 0
