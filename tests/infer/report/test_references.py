"""Other references of a report, its choice of the penalty, and what it says of connections."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from infer.cli.commands import app
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.recordings.events import event_patterns
from infer.recordings.recording import Recording
from infer.report import analyse, penalty
from infer.report.network import network
from infer.report.penalty import choose_alpha
from infer.report.references import read_events
from infer.report.sections.first import claims
from infer.similarity.compare import compare
from simulate import dreaming
from tests import exact
from tests.infer.report.conftest import hebbian_of, patterns_of


@pytest.mark.slow
def test_samples_of_dreamed_couplings_give_back_their_rate():
    patterns, rate = patterns_of(4, 14, seed=1), 0.6
    spins = exact.draw(dreaming(patterns, rate), 12_000, temperature=1.6, seed=4)
    found = analyse(spins, patterns)
    top = found.headline()
    # two estimates, four standard errors each: false alarm rate below 1e-4
    assert abs(top["rate"] - rate) < 4 * top["rate_std"]
    assert abs(found.similarity.best_rate - rate) < 4 * found.similarity.best_rate_std
    assert top["rate_std"] < 0.2
    assert top["rate_interval"][0] > 0
    assert found.diagnosis.couplings_needed, found.diagnosis.summary()
    assert "Pair couplings pay" in top["diagnosis"]
    # the control has rate 0: four standard errors
    assert abs(found.control.rate) < 4 * found.control.rate_std
    assert top["control_rate"] == found.control.rate
    assert claims(found)[0].holds


def test_references_are_those_of_the_parts(referred):
    names = list(referred.references)
    assert names == ["averages of 2 events", "2 estimated patterns"]
    numbers = referred.to_dict()
    assert numbers["references"][names[0]]["at_best"]["cosine"] == referred.references[names[0]].at_best["cosine"]
    json.dumps(numbers, allow_nan=False)
    assert referred.similarity.reference == "data correlations"
    assert all(found.reference == "patterns" for found in referred.references.values())


@pytest.mark.slow
def test_event_patterns_are_compared(dataset, patterns):
    spins = dataset["spins"].values.reshape(-1, 12)[:600]
    events = ["up" if row[0] > 0 else "" for row in spins]
    found = analyse(spins, events=events, n_patterns=2, seed=2, method="pseudolikelihood")
    stored, names = event_patterns(spins, events)
    assert names == ("up",)
    expected = np.where(spins[spins[:, 0] > 0].mean(axis=0) >= spins.mean(axis=0), 1, -1)
    np.testing.assert_array_equal(stored[0], expected)
    model = PseudoLikelihood(alpha=1 / 600, fit_fields=True).fit(spins)
    again = compare(model, stored, seed=2)
    assert found.references["averages of 1 events"].at_hebbian == again.at_hebbian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few weakly coupled samples do not show their patterns clearly
        estimated = DreamingModel(n_patterns=2, fit_fields=True, random_state=2).fit(spins).patterns_
    assert any("pattern" in text for text in found.warnings)
    again = compare(model, estimated, seed=2)
    assert found.references["2 estimated patterns"].best_rate == again.best_rate


def test_events_and_numbers_of_patterns_that_do_not_fit_are_refused(dataset, tmp_path):
    spins = dataset["spins"].values.reshape(-1, 12)[:100]
    with pytest.raises(ValueError, match="3 labels were given for 100 rows"):
        analyse(spins, events=["a", "b", "c"])
    with pytest.raises(ValueError, match="no row has a label"):
        analyse(spins, events=[""] * 100)
    with pytest.raises(ValueError, match="n_patterns must be between 1 and the number of spins"):
        analyse(spins, n_patterns=13)
    with pytest.raises(ValueError, match="no such file"):
        read_events(tmp_path / "absent.txt")
    with pytest.raises(ValueError, match="is a folder"):
        read_events(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not text"):
        read_events(tmp_path / "binary")
    (tmp_path / "events.txt").write_text("one\n\n two \n", encoding="utf-8")
    assert read_events(tmp_path / "events.txt") == ["one", "", "two"]


@pytest.mark.slow
def test_options_of_the_command_line(dataset, tmp_path):
    np.save(tmp_path / "spins.npy", dataset["spins"].values[0, :300])
    (tmp_path / "events.txt").write_text("\n".join("ab"[k % 2] for k in range(300)) + "\n", encoding="utf-8")
    options = ["--events", str(tmp_path / "events.txt"), "--n-patterns", "2", "--no-time-order", "--n-jobs", "1"]
    command = ["report", str(tmp_path / "spins.npy"), "--output", str(tmp_path / "out.html"), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "Pair couplings pay: " in result.stdout
    assert "dreaming rate" not in result.stdout
    numbers = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert list(numbers["references"]) == ["averages of 2 events", "2 estimated patterns"]
    assert numbers["diagnosis"]["time_reversal"] is None
    assert not numbers["data"]["time_ordered"]
    (tmp_path / "events.txt").write_text("a\n", encoding="utf-8")
    (tmp_path / "out.html").unlink()
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "1 labels were given for 300 rows" in result.stderr
    assert not (tmp_path / "out.html").exists()


def test_counts_weigh_in_event_averages():
    spins = np.array([[1, 1], [-1, 1], [1, -1]])
    patterns, _ = event_patterns(spins, ["a", "a", ""], counts=[1, 5, 6])
    np.testing.assert_array_equal(patterns, [[-1, 1]])
    with pytest.raises(ValueError, match="all rows of 'a' have count 0"):
        event_patterns(spins, ["a", "b", "b"], counts=[0, 1, 1])


@pytest.mark.slow
def test_penalty_is_chosen_where_samples_are_fewer_than_couplings(patterns):
    spins = exact.draw(hebbian_of(patterns), 60, temperature=1.5, seed=3)
    found = analyse(spins, method="pseudolikelihood")
    tried = found.fit.alpha_tried
    assert found.fit.alpha == tried["alphas"][int(np.argmax(tried["scores"]))] > 1 / 60
    assert any("penalty was chosen by cross-validation" in text for text in found.warnings)
    assert (
        found.diagnosis.held_out.scores["pair"]
        > analyse(spins, alpha=1 / 60, method="pseudolikelihood").diagnosis.held_out.scores["pair"]
    )
    assert analyse(spins, alpha=0.02, method="pseudolikelihood").fit.alpha_tried is None
    rows, counts = np.unique(spins, axis=0, return_counts=True)
    packed = choose_alpha(rows, counts, None, False, True, 1, 0)
    assert packed["alphas"] == tried["alphas"]
    assert np.isfinite(packed["scores"]).all()


@pytest.mark.slow
def test_samples_too_few_for_errors_are_refused_in_one_line(dataset):
    with pytest.raises(ValueError, match=r"samples: 15 are too few for a report; error bars .* at least 16"):
        analyse(dataset["spins"].values[0, :15])
    assert analyse(dataset["spins"].values[0, :16]).data.n_samples == 16


@pytest.mark.slow
def test_rows_in_no_order_are_not_judged_in_time(dataset):
    found = analyse(dataset["spins"].values[0], ordered=False)
    assert found.diagnosis.time_reversal is None
    assert not found.convergence.applicable
    assert not found.data.time_ordered


@pytest.mark.slow
def test_masked_values_are_averaged_over_and_stated(patterns):
    spins = exact.draw(hebbian_of(patterns), 1500, temperature=1.5, seed=3)
    spins[np.random.default_rng(0).random(spins.shape) < 0.03] = 0
    names = tuple(map(str, range(12)))
    recording = Recording(
        spins,
        chains=np.zeros(1500, dtype=np.int64),
        names=names,
        attributes={"missing": "mask"},
        gaps=True,
        source="gaps.npy",
        columns=np.arange(12),
    )
    by_default = analyse(recording, patterns)
    assert by_default.fit.method == "maximum-likelihood"
    assert by_default.diagnosis.accepted
    found = analyse(recording, patterns, method="pseudolikelihood")
    assert any("3 % of the values are missing" in text for text in found.warnings)
    assert found.parameters["missing"] == "mask"
    model = PseudoLikelihood(alpha=1 / 1500, fit_fields=True, missing="mask").fit(recording)
    np.testing.assert_array_equal(found.couplings, model.couplings_)
    with pytest.raises(ValueError, match="is 0"):
        analyse(dataclasses.replace(recording, gaps=False))


def test_connections_of_a_known_graph():
    n_spins = 12
    ring = np.zeros((n_spins, n_spins))
    ring[np.arange(n_spins), (np.arange(n_spins) + 1) % n_spins] = 0.5
    ring[0, 6] = 0.4
    ring = ring + ring.T
    noise = np.random.default_rng(0).normal(0, 0.01, ring.shape)
    by_node = ring + noise
    couplings = (by_node + by_node.T) / 2
    found = network(by_node, couplings, np.full(ring.shape, 0.01))
    assert found.n_significant == 13
    assert found.degrees.tolist() == [3 if k in (0, 6) else 2 for k in range(n_spins)]
    assert found.gap["rank"] == 13
    assert found.gap["degrees"].tolist() == found.degrees.tolist()
    assert found.gap["above"] > 0.35 > 0.1 > found.gap["below"]
    above = np.triu_indices(n_spins, 1)
    assert found.transpose_correlation == pytest.approx(np.corrcoef(by_node[above], by_node.T[above])[0, 1])
    smooth = np.linspace(1.0, 2.0, n_spins**2).reshape(n_spins, n_spins)
    assert network(smooth, (smooth + smooth.T) / 2, np.ones(smooth.shape)).gap is None
    assert np.isnan(network(0 * ring, 0 * ring, np.ones(ring.shape)).transpose_correlation)


def test_a_grid_of_penalties_goes_on_beyond_its_edge(monkeypatch):
    """Coin flips have no couplings: the stronger the penalty the better, up to the end of what is tried."""
    spins = np.random.default_rng(4).choice(np.array([-1, 1], dtype=np.int8), (40, 12))
    tried = choose_alpha(spins, None, None, False, False, 1, 0)
    assert max(tried["alphas"]) > 1.0
    assert tried["alpha"] > 1.0
    assert tried["at_edge"] == (tried["alpha"] == max(tried["alphas"]))
    # of many spins weak penalties are left out once two in a row are worse, with the same choice
    assert min(tried["alphas"]) == 1 / 40
    monkeypatch.setattr(penalty, "MANY_SPINS", 12)
    fewer = choose_alpha(spins, None, None, False, False, 1, 0)
    n_left_out = len(tried["alphas"]) - len(fewer["alphas"])
    assert n_left_out > 0
    assert fewer["alphas"] == tried["alphas"][n_left_out:]
    assert fewer["scores"] == tried["scores"][n_left_out:]
    assert fewer["alpha"] == tried["alpha"]
