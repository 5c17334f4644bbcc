"""Temporal contrastive learning on the command line: trained, compared, written, drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from typer.testing import CliRunner

from infer import compare
from infer.cli.commands import app
from infer.contrastive import figures as contrastive_figures
from infer.contrastive.tasks import compare_networks, digits_summary, train_memory
from simulate import dreaming, hebbian, pseudo_inverse, random_patterns
from simulate.contrastive import ContrastiveRule, Sawtooth, chemotaxis_kernel, experiments, hard_threshold

SMALL = ("--n-spins", "30", "--n-patterns", "6", "--cycles", "300")


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["contrastive", *(str(argument) for argument in arguments), "--seed", "3"])


@pytest.fixture(scope="module")
def trained() -> xr.Dataset:
    return train_memory(30, 6, 300, seed=3)


def test_comparison_finds_the_rates_of_dreamed_couplings_and_their_cosines() -> None:
    patterns = random_patterns(4, 30, seed=1)
    couplings = [hebbian(patterns), dreaming(patterns, 3.0), pseudo_inverse(patterns)]
    table = xr.Dataset(
        {"couplings": (("network", "spin", "spin_"), couplings), "patterns": (("pattern", "spin"), patterns)},
        {"network": ["hebbian", "dreaming", "pseudo-inverse"]},
    )
    found = compare_networks(table)
    np.testing.assert_allclose(found["best_rate"], [0.0, 3.0, np.inf], atol=1e-6)
    np.testing.assert_allclose(found["cosine_best"], 1.0, atol=1e-12)
    above = np.triu_indices(30, 1)
    a, b = couplings[0][above], couplings[1][above]
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    for value in (
        found["cosine"].sel(network="hebbian", network_="dreaming"),
        found["cosine"].sel(network="dreaming", network_="hebbian"),
        found["cosine_hebbian"].sel(network="dreaming"),
        found["cosine_profile"].sel(network="dreaming", rate=0.0),
    ):
        assert float(value) == pytest.approx(expected, rel=1e-10)


@pytest.mark.slow
def test_memory_writes_the_numbers_and_the_figure_that_it_speaks_of(tmp_path: Path, trained: xr.Dataset) -> None:
    result = run("memory", *SMALL, "--output", tmp_path / "memory.nc", "--figure", tmp_path / "memory.svg")
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "memory.nc", engine="h5netcdf") as found:
        for name in trained.data_vars:
            np.testing.assert_array_equal(found[name], trained[name], err_msg=str(name))
        direct = compare(found["couplings"].sel(network="contrastive").values, found["patterns"].values)
        assert direct.best_rate == float(found["best_rate"].sel(network="contrastive"))
    assert f"{direct.best_rate:.3g}" in next(line for line in result.stdout.splitlines() if line.startswith("contr"))
    assert direct.verdict in result.stdout
    assert "<svg" in (tmp_path / "memory.svg").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory.nc", "memory.svg"]


@pytest.mark.slow
def test_memory_trains_by_the_rule_and_from_the_free_state_asked_for(tmp_path: Path, trained: xr.Dataset) -> None:
    for k, options in enumerate([("--rule", "ideal"), ("--free-state", "graded")]):
        assert run("memory", *SMALL, *options, "--output", tmp_path / f"{k}.nc").exit_code == 0
        with xr.open_dataset(tmp_path / f"{k}.nc", engine="h5netcdf") as found:
            other, same = (found["couplings"].sel(network=name).values for name in ("contrastive", "dreaming"))
            assert found.attrs[options[0][2:].replace("-", "_")] == options[1]
        assert not np.allclose(other, trained["couplings"].sel(network="contrastive"))
        np.testing.assert_array_equal(same, trained["couplings"].sel(network="dreaming"))


@pytest.mark.slow
def test_digits_go_on_from_their_checkpoints(tmp_path: Path) -> None:
    base = ("digits", "--n-hidden", 20, "--checkpoints", tmp_path / "checkpoints")
    assert run(*base, "--epochs", 1).exit_code == 0
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert before == ["ideal-contrast.npz", "temporal.npz", "threshold-0.npz"]
    result = run(*base, "--epochs", 2, "--output", tmp_path / "digits.nc", "--figure", tmp_path / "digits.png")
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "digits.nc", engine="h5netcdf") as found:
        straight = experiments.digits_task(2, n_hidden=20, seed=3)
        np.testing.assert_array_equal(found["test_error"], straight["test_error"])
        assert f"{100 * float(found['test_error'].sel(rule='temporal', epoch=2)):.2f} %" in result.stdout
        assert (found["test_error"].sel(rule="threshold 0") > 0.7).all()
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    other = run("digits", "--n-hidden", 21, "--checkpoints", tmp_path / "checkpoints", "--epochs", 2)
    assert other.exit_code == 1
    assert "comes from other data or parameters" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("memory", "--output", "numbers.txt"), 1, "must end in .nc"),
        (("memory", "--figure", "figure.jpg"), 1, "must end in .svg or .pdf or .png"),
        (("synapse", "--output", "figure.jpg"), 1, "must end in .svg or .pdf or .png"),
        (("memory", "--output", "/nowhere/at/all.nc"), 1, "does not exist; create it first"),
        (("digits", "--checkpoints", "/nowhere/at/all"), 1, "does not exist; create it first"),
        (("digits", "--epochs", 0), 2, "epochs"),
        (("memory", "--rule", "guess"), 2, "rule"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[Any, ...], status: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert message in result.stderr
    assert result.stdout == ""
    if status == 1:
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1


def test_the_table_of_digits_explains_its_columns() -> None:
    table = xr.Dataset(
        {"test_error": (("rule", "epoch"), [[0.3, 0.1, 0.2], [0.9, 0.9, 0.9]])},
        {"rule": ["temporal", "threshold 0"], "epoch": [1, 2, 3]},
    )
    first, head, temporal, _ = digits_summary(table).splitlines()
    assert first.startswith("test error: after 3 epochs; least: of all epochs; threshold 0: control")
    assert head.split() == ["rule", "test", "error", "least"]
    assert temporal.split() == ["temporal", "20.00", "%", "10.00", "%"]


@pytest.mark.slow
def test_every_axis_of_every_figure_is_labelled_and_shows_its_data(trained: xr.Dataset) -> None:
    rule = ContrastiveRule(chemotaxis_kernel(20.0), Sawtooth(1.0, 9.0), hard_threshold(100 / 9))
    errors = xr.Dataset(
        {"test_error": (("rule", "epoch"), [[0.3, 0.1, 0.0], [0.9, 0.9, 0.9]])},
        {"rule": ["temporal", "threshold 0"], "epoch": [1, 2, 3]},
    )
    figures: dict[str, tuple[Figure, int]] = {
        "learning_curve": (contrastive_figures.learning_curve(rule), 1),
        "learning_range": (contrastive_figures.learning_range(experiments.range_against_asymmetry([2, 9])), 1),
        "offset_by_area": (contrastive_figures.offset_by_area(experiments.offset_against_area([0, 0.1], [0, 25])), 1),
        "cost_of_accuracy": (
            contrastive_figures.cost_of_accuracy(experiments.dissipation_against_accuracy([0.01, 0.1])),
            1,
        ),
        "contrast_ratio": (
            contrastive_figures.contrast_ratio(experiments.contrast_against_dissipation([0.1, 1.0], n_synapses=50)),
            1,
        ),
        "digits_errors": (contrastive_figures.digits_errors(errors), 1),
        "retrieval": (contrastive_figures.retrieval(trained), 1),
        "spectra": (contrastive_figures.spectra(trained), 1),
        "similarity_profile": (contrastive_figures.similarity_profile(trained), 1),
        "memory_panels": (contrastive_figures.memory_panels(trained), 3),
        "synapse_panels": (contrastive_figures.synapse_panels(), 5),
    }
    assert {*figures, "write_figure"} == set(contrastive_figures.__all__)
    for name, (figure, n_panels) in figures.items():
        figure.canvas.draw()
        assert len(figure.axes) == n_panels, name
        for axes in figure.axes:
            assert axes.get_xlabel(), name
            assert axes.get_ylabel(), name
            assert axes.get_legend() or figure.legends, name
            assert any(np.isfinite(line.get_ydata()).all() and len(line.get_ydata()) > 1 for line in axes.lines), name


def test_same_figure_same_bytes(tmp_path: Path, trained: xr.Dataset) -> None:
    for name in ("one.svg", "two.svg"):
        contrastive_figures.write_figure(tmp_path / name, contrastive_figures.retrieval(trained))
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    with pytest.raises(ValueError, match=r"must end in \.svg, \.pdf or \.png"):
        contrastive_figures.write_figure(tmp_path / "one.jpg", contrastive_figures.retrieval(trained))
