"""The command `reverie landscape`."""

import json

import numpy as np
import pytest
import xarray as xr

from infer import energy_landscape
from tests import exact
from tests.infer.cli.test_cli import refuse, succeed


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A recording of six spins with names and runs, and a fit of it."""
    folder = tmp_path_factory.mktemp("landscape")
    rows = exact.draw(exact.random_couplings(6, 2.0, 0), 400)
    names = ["ann", "bob", "cat", "dan", "eve", "fay"]
    np.savez(folder / "rows.npz", spins=rows, chains=np.repeat([0, 1], 200), names=names)
    succeed("fit", folder / "rows.npz", "--output", folder / "fit.nc", "--fields", "--no-progress")
    return folder


@pytest.mark.slow
def test_numbers_and_figure(fitted):
    result = succeed(
        "landscape",
        fitted / "fit.nc",
        *("--samples", fitted / "rows.npz", "--output", fitted / "out.nc", "--figure", fitted / "out.svg"),
    )
    with xr.open_dataset(fitted / "fit.nc") as fit, xr.open_dataset(fitted / "out.nc") as found:
        rows = np.load(fitted / "rows.npz")["spins"]
        expected = energy_landscape(fit["couplings"].values, rows, fields=fit["fields"].values, seed=0)
        np.testing.assert_array_equal(found["minima"], expected.minima)
        np.testing.assert_allclose(found["energies"], expected.energies)
        np.testing.assert_allclose(found["shares"], expected.shares)
        assert found["spin"].values.tolist() == ["ann", "bob", "cat", "dan", "eve", "fay"]
        # two runs: one step fewer than in one
        assert found["transitions"].sum() == 398
        assert found.attrs["verdict"] in result.stdout.replace("\n", " ")
    assert f"{expected.energies[0]:.4f}" in result.stdout
    assert (fitted / "out.svg").read_text().count("<svg") == 1


@pytest.mark.slow
def test_json_and_figure_by_the_ending(fitted):
    succeed("landscape", fitted / "fit.nc", "--output", fitted / "out.json")
    found = json.loads((fitted / "out.json").read_text())
    assert found["shares"] is None
    assert sum(found["basin_sizes"]) == 64
    succeed("landscape", fitted / "fit.nc", "--output", fitted / "only.svg")
    assert (fitted / "only.svg").stat().st_size > 1000
    np.savetxt(fitted / "couplings.csv", exact.random_couplings(6, 2.0, 0), delimiter=",")
    assert "spins" in succeed("landscape", fitted / "couplings.csv").stdout


def test_patterns_are_compared(fitted):
    np.savetxt(fitted / "patterns.csv", [[1, 1, 1, -1, -1, -1]], delimiter=",", fmt="%d")
    result = succeed("landscape", fitted / "fit.nc", "--patterns", fitted / "patterns.csv")
    assert "pattern (overlap)" in result.stdout


def test_a_fit_that_did_not_converge_is_pointed_out(fitted):
    with xr.open_dataset(fitted / "fit.nc") as fit:
        fit.load().assign_attrs(converged=0).to_netcdf(fitted / "bad.nc", engine="h5netcdf")
    assert "warning: " in succeed("landscape", fitted / "bad.nc").stderr


@pytest.mark.slow
def test_a_potential_of_the_population_count_is_part_of_the_model(fitted):
    with xr.open_dataset(fitted / "fit.nc") as fit:
        potential = np.array([0.0, 0, 0, 9.0, 0, 0, 0])
        fit.load().assign(count_potential=("count", potential)).to_netcdf(fitted / "counts.nc", engine="h5netcdf")
    succeed("landscape", fitted / "counts.nc", "--output", fitted / "counts.json")
    lowest = json.loads((fitted / "counts.json").read_text())["minima"][0]
    assert sum(lowest) == 0  # three of six are +1


def test_bad_input_is_one_line(fitted):
    assert "no such file" in refuse("landscape", fitted / "absent.nc")
    assert ".nc or .json" in refuse("landscape", fitted / "fit.nc", "--output", fitted / "out.txt")
    assert "is an input too" in refuse("landscape", fitted / "fit.nc", "--output", fitted / "fit.nc")
    both = ("--output", fitted / "a.svg", "--figure", fitted / "b.svg")
    assert "are both figures" in refuse("landscape", fitted / "fit.nc", *both)
    rows = np.load(fitted / "rows.npz")["spins"]
    np.save(fitted / "five.npy", rows[:, :5])
    assert "has 6 spins and" in refuse("landscape", fitted / "fit.nc", "--samples", fitted / "five.npy")
    np.savez(fitted / "swapped.npz", spins=rows, names=["bob", "ann", "cat", "dan", "eve", "fay"])
    message = refuse("landscape", fitted / "fit.nc", "--samples", fitted / "swapped.npz")
    assert "spin 0 (counted from 0) is 'ann'" in message
