"""The first screen: what it says of spikes, claims that are told once, and commands that exist."""

import ast
import dataclasses
import inspect
import shlex

import numpy as np
import pytest
import typer

from infer import analyse, read_recording
from infer.cli.commands import app
from infer.cli.selection import OPTIONS, reading_words
from infer.files.json import readable_attributes
from infer.report.layout import interval_text, typeset
from infer.report.sections.couplings import SECTION as COUPLINGS
from infer.report.sections.couplings import rank_limit
from infer.report.sections.dreaming import SECTION as DREAMING
from infer.report.sections.first import cards, claims
from infer.report.sections.next_steps import next_steps


def described(analysis, source, samples=None, **attributes):
    """An analysis as if its data had been read so; its activity that of `samples`."""
    data = dataclasses.replace(analysis.data, kind="recording", attributes=attributes)
    if samples is not None:
        share = float(np.mean(samples.spins > 0))
        data = dataclasses.replace(data, n_rows=samples.n_rows, n_spins=samples.n_spins, active_share=share)
    return dataclasses.replace(analysis, data=data, source=source)


def test_a_spike_report_says_first_how_spikes_were_binned(recorded, tmp_path):
    # bins of 1: unit a fires twice in bin 0 and once in bin 2, unit b once in bins 1 and 3
    file = tmp_path / "spikes.csv"
    file.write_text("time,unit\n0.1,a\n0.2,a\n2.5,a\n1.5,b\n3.5,b\n")
    samples = read_recording(file, bin_width=1.0, start=0.0, stop=4.0)
    found = described(recorded, "spikes.csv", samples, **samples.attributes)
    card = cards(found, found.to_dict())[0]
    assert card.name == "On reading"
    assert card.number == "bin width 1"
    assert "5 spikes, 0.62 per cell and unit of time" in card.detail.replace("0.63", "0.62")
    assert "25 % of the bins with spikes hold several" in card.detail  # 1 of 4


def test_spins_that_never_change_are_named_in_words(recorded):
    spins = np.random.default_rng(0).choice([-1, 1], (40, 5))
    spins[:, [1, 3]] = -1
    samples = read_recording(spins, constant="drop")
    found = described(recorded, "rows.npy", **readable_attributes(samples.attributes))
    (card,) = (each for each in cards(found, found.to_dict()) if each.name == "On reading")
    assert "spins that never change left out: 1, 3" in card.detail
    assert "[" not in card.detail


def test_claims_are_told_once(simulated, recorded):
    for analysis in (simulated, recorded):
        for claim in claims(analysis):
            assert not claim.text.startswith(claim.statement)
            assert claim.text[0].isupper()
    unjudged = dataclasses.replace(simulated.diagnosis, converged=False)
    model = claims(dataclasses.replace(simulated, diagnosis=unjudged))[2]
    assert (model.outcome, model.text) == ("not judged", "Its fit did not converge.")


@pytest.mark.parametrize("kind", ["table", "spikes", "masked", "drifting", "unsettled"])
def test_next_steps_are_commands_with_options_that_exist(recorded, kind):
    about = {"bin_width": 0.05, "first_bin_edge": 0.0, "spikes": 10} if kind == "spikes" else {"threshold": 0.5}
    found = described(recorded, "my data.csv", **about)
    if kind == "masked":
        found = dataclasses.replace(found, parameters={**found.parameters, "missing": "mask"})
    if kind == "unsettled":
        found = dataclasses.replace(found, diagnosis=dataclasses.replace(found.diagnosis, converged=False))
    commands = typer.main.get_command(app).commands
    steps = [step.command for step in next_steps(found) if step.command]
    assert steps
    for text in steps:
        program, name, *words = shlex.split(text)
        assert program == "reverie"
        options = {
            option for parameter in commands[name].params for option in parameter.opts + parameter.secondary_opts
        }
        assert {word for word in words if word.startswith("--")} <= options
        assert "my data.csv" in words
        assert ("--no-time-order" in words) == (name == "report")  # rows of the recording have no order


@pytest.mark.parametrize("kind", ["table", "masked", "drifting", "irreversible", "unsettled"])
def test_next_steps_on_samples_in_memory_are_calls_that_work(recorded, kind, monkeypatch, tmp_path):
    found = dataclasses.replace(recorded, source="samples in memory")
    if kind == "masked":
        found = dataclasses.replace(found, parameters={**found.parameters, "missing": "mask"})
    changes = {
        "drifting": {"stationary": False},
        "irreversible": {"reversible": False},
        "unsettled": {"accepted": False},
    }
    judged = _Judged(found.diagnosis, changes.get(kind, {}))
    found = dataclasses.replace(found, diagnosis=judged)
    calls = [step.command for step in next_steps(found) if step.command]
    assert calls
    monkeypatch.chdir(tmp_path)
    names = {"samples": np.random.default_rng(0).choice([-1, 1], size=(40, 3))}
    for text in calls:
        if "analyse(" in text:  # seconds: its arguments only
            arguments = ast.parse(text.partition("; ")[2]).body[0].value.args[0].keywords
            assert {word.arg for word in arguments} <= set(inspect.signature(analyse).parameters)
        else:
            exec(text, names)


class _Judged:
    """A diagnosis with other outcomes."""

    def __init__(self, diagnosis, outcomes):
        self.diagnosis, self.outcomes = diagnosis, {"couplings_needed": True, **outcomes}

    def __getattr__(self, name):
        return self.outcomes[name] if name in self.outcomes else getattr(self.diagnosis, name)


def test_a_fit_to_keep_has_the_penalty_of_the_report(recorded):
    # that of a thousand units was chosen by cross-validation, and the command on the page fitted with another
    def fits(alpha):
        fit = dataclasses.replace(recorded.fit, alpha=alpha)
        parameters = recorded.parameters | {"file": "rows.csv", "reading": ""}
        found = dataclasses.replace(recorded, fit=fit, parameters=parameters)
        return [step.command for step in next_steps(found) if "--output fit.nc" in step.command]

    assert " --alpha 0.3 " in fits(0.3)[0]
    assert "--alpha" not in fits(1.0 / recorded.data.n_samples)[0]
    assert "--alpha" not in fits(None)[0]


def test_more_rows_are_the_remedy_where_a_penalty_hides_what_is_missed(recorded):
    fit = dataclasses.replace(recorded.adequacy.fit, collective=289.0, shrunk=True)
    adequacy = dataclasses.replace(recorded.adequacy, checks=recorded.adequacy.checks | {fit.name: fit})
    found = dataclasses.replace(
        recorded, adequacy=adequacy, diagnosis=dataclasses.replace(recorded.diagnosis, adequacy=adequacy)
    )
    first = next_steps(found)[0]
    assert first.text.startswith("Record more rows, or choose fewer units")
    assert not first.command
    assert {claim.key: claim.holds for claim in claims(found)}["model"] is None


def test_next_steps_of_a_file_read_it_as_it_was_read(recorded):
    found = recorded.of_file("my units", " --units 'a, b'")
    for step in next_steps(found):
        assert "'my units' --units 'a, b'" in step.command or not step.command or "landscape" in step.command
    reading = {name: default for name, (_, default) in OPTIONS.items()}
    assert reading_words(reading) == ""
    changed = {"zero_one": True, "bin_width": 0.05, "transpose": False, "epochs": "/home/x/my epochs.csv"}
    words = " --zero-one --bin-width 0.05 --no-transpose --epochs 'my epochs.csv'"
    assert reading_words(reading | changed) == words


def test_captions_are_of_what_is_drawn(simulated, recorded):
    captions = {figure.key: figure.caption for section in (COUPLINGS, DREAMING) for figure in section.figures}
    assert simulated.network.gap is None
    assert "gap" not in captions["degrees"](simulated)
    gap = {"rank": 3, "above": 1.0, "below": 0.5, "ratio": 2.0, "degrees": simulated.network.degrees}
    with_gap = dataclasses.replace(simulated, network=dataclasses.replace(simulated.network, gap=gap))
    assert "above the gap" in captions["degrees"](with_gap)
    assert "diamond" in captions["zoom"](simulated)
    assert "diamond" not in captions["zoom"](recorded)
    assert "above the axis" not in captions["ranks"](simulated)
    std = simulated.couplings_std.copy()
    std[0, 1] = std[1, 0] = 100.0
    wide = dataclasses.replace(simulated, couplings_std=std)
    assert "1 error lies above the axis" in captions["ranks"](wide)
    assert rank_limit(simulated.couplings, std) < 3.1 * np.abs(simulated.couplings).max()


def test_intervals_have_the_digits_of_the_error():
    assert interval_text((-0.00605, 0.00364), 0.0024) == "−0.0060 to 0.0036"
    assert interval_text((0.13782, float("inf")), 0.0034) == "0.1378 to ∞"
    assert interval_text((0.13782, 0.15141)) == "0.138 to 0.151"


def test_apostrophes_are_typographic():
    assert typeset("the model's own draws, missing='drop'") == "the model’s own draws, missing='drop'"


def test_percentages_do_not_break():
    assert typeset("37.1% of 5 % (p = 0.2)") == "37.1\u00a0% of 5\u00a0% (p\u00a0=\u00a00.2)"


def test_fits_that_are_lost_in_noise_say_so(recorded):
    why = "chains worth 100 independent rows are too few to match the moments of 40"
    unjudged = dataclasses.replace(recorded.diagnosis, converged=False, why_not=why)
    noisy = dataclasses.replace(recorded.fit, converged=False, mismatch_noise=1.6)
    found = dataclasses.replace(recorded, diagnosis=unjudged, fit=noisy)
    assert claims(found)[1].text == f"Its fit did not converge: {why}."
    first = next_steps(found)[0]
    assert "fewer rows, or fewer spins" in first.text
    assert not any("alpha" in step.command for step in next_steps(found))
