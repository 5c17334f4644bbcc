"""Spike times in bins: held to rational arithmetic, to pynapple and to files that other libraries write."""

import datetime
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from infer.cli.commands import app
from infer.errors import InputError
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.recordings.bins import bin_spikes
from infer.recordings.recording import read_patterns, read_recording, read_spins
from infer.recordings.spike_times import SpikeTimes

TIMES = {"a1": [0.0, 0.1, 0.25, 0.3, 0.95], "b": [0.05, 0.6, 0.7], "<i>": [0.3, 0.41, 0.89]}
# bins of width 0.1 of these times, worked out by hand; units in the order of their names
BINNED = {"<i>": [3, 4, 8], "a1": [0, 1, 2, 3, 9], "b": [0, 6, 7]}


def expected_spins() -> np.ndarray:
    spins = np.full((10, 3), -1)
    for unit, bins in enumerate(BINNED.values()):
        spins[bins, unit] = 1
    return spins


def rows() -> list[tuple[float, str]]:
    return [(time, unit) for unit, times in TIMES.items() for time in times]


def complaint(*args: Any, **kwargs: Any) -> str:
    """The message of the error, which must be one line."""
    with pytest.raises(InputError) as caught:
        read_recording(*args, **kwargs)
    assert str(caught.value).isprintable()
    return str(caught.value)


# --- the bins


def plain_bins(times: list[str], width: str) -> list[int]:
    """Bin of each time counted from the first, in rational arithmetic on the numbers as written."""
    bins = [Fraction(time) // Fraction(width) for time in times]
    return [int(k - min(bins)) for k in bins]


decimals = st.decimals(-400, 400, places=4, allow_nan=False).map(str)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(times=st.lists(decimals, min_size=3, max_size=12), width=st.sampled_from(["0.1", "0.3", "0.025", "7", "1e-3"]))
def test_bins_are_exact_on_decimal_numbers(times: list[str], width: str) -> None:
    expected = plain_bins(times, width)
    if max(expected) < 1:
        return
    # every spike a unit of its own, so that each place in the table can be looked up
    spikes = SpikeTimes(np.array([float(t) for t in times]), np.arange(len(times)), tuple(map(str, range(len(times)))))
    table = bin_spikes("s", spikes, float(width))
    assert table.values.shape == (max(expected) + 1, len(times))
    np.testing.assert_array_equal(table.values.argmax(axis=0), expected)
    assert (table.values == 1).sum() == len(times)


def test_every_edge_belongs_to_the_bin_that_it_starts() -> None:
    for width in (0.1, 0.7, 0.001, 1 / 3):
        edges = [float(k * Fraction(repr(width))) for k in range(2000)]
        spikes = SpikeTimes(np.array(edges), np.arange(2000) % 2, ("0", "1"))
        table = bin_spikes("s", spikes, width)
        np.testing.assert_array_equal(np.flatnonzero((table.values == 1).any(axis=1)), np.arange(2000))
        before = SpikeTimes(np.nextafter(edges[1:], -np.inf), np.arange(1999) % 2, ("0", "1"))
        np.testing.assert_array_equal(bin_spikes("s", before, width).values, table.values[:-1])


def test_intervals_hold_whole_bins_from_their_start() -> None:
    spikes = SpikeTimes(
        np.array([0.9, 1.05, 1.35, 1.64, 1.66, 5.0, 5.2]),
        np.array([0, 0, 1, 0, 1, 1, 0]),
        ("0", "1"),
        np.array([[1.05, 1.65], [5.0, 5.5]]),
    )
    table = bin_spikes("s", spikes, 0.2)
    np.testing.assert_array_equal(table.chains, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(table.values, [[1, -1], [-1, 1], [1, -1], [-1, 1], [1, -1]])
    assert table.attributes["spikes"] == 5
    assert table.attributes["spikes_outside_bins"] == 2


@pytest.mark.parametrize("seed", range(3))
def test_pynapple_counts_the_same(seed: int) -> None:
    nap = pytest.importorskip("pynapple")
    rng = np.random.default_rng(seed)
    support = nap.IntervalSet(start=[0.5, 40.0], end=[20.5, 61.0])  # whole numbers of bins
    group = nap.TsGroup({key: nap.Ts(np.sort(rng.uniform(0, 61, 100))) for key in (3, 7, 11)}, time_support=support)
    recording = read_recording(group, bin_width=0.25)
    counts = group.count(0.25)
    np.testing.assert_array_equal(recording.spins > 0, np.asarray(counts.values) > 0)
    assert recording.names == ("3", "7", "11")
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], [80, 84]))
    assert recording.source == "the TsGroup"


def test_built_in_python_from_a_dict_of_arrays() -> None:
    times = {"a": np.array([0.1, 0.55]), "b": np.array([0.3])}
    spikes = SpikeTimes.of(times, intervals=[[0.0, 0.8]])
    expected = [[-1, -1], [1, -1], [-1, -1], [-1, 1], [-1, -1], [1, -1], [-1, -1], [-1, -1]]
    np.testing.assert_array_equal(read_recording(spikes, bin_width=0.1).spins, expected)
    np.testing.assert_array_equal(read_recording(times, bin_width=0.1, start=0, stop=0.8).spins, expected)
    with pytest.raises(InputError, match="spike times of unit 'b' are no list of numbers"):
        SpikeTimes.of({"a": [0.1], "b": ["x"]})


def test_bins_that_hold_most_spikes_twice_are_said(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,unit\n" + "\n".join(f"{t},{u}" for t, u in rows()))
    with pytest.warns(UserWarning, match="73 % of the spikes .8 of 11. share a bin of width 0.5 .* width 0.33 would"):
        spins = read_recording(tmp_path / "s.csv", bin_width=0.5, constant="keep").spins
    np.testing.assert_array_equal(spins, np.ones((2, 3)))
    # where fewer than half share one it is a note
    noted = read_recording(tmp_path / "s.csv", bin_width=0.13).attributes
    assert noted["spikes_sharing_a_bin"] == 2
    assert "18 % of the spikes (2 of 11) share a bin of width 0.13" in noted["notes"][-1]


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (0, "bin_width must be a number above 0"),
        (-1.0, "above 0"),
        (float("nan"), "above 0"),
        (float("inf"), "above 0"),
        ("1 s", "above 0"),
        (10.0, "1 bins of width 10 fit"),
        (1e-9, "choose a larger width"),
        (1e-300, "choose a larger width"),
        (5e-324, "choose a larger width"),
    ],
)
def test_widths_that_do_not_do(tmp_path: Path, width: Any, words: str) -> None:
    (tmp_path / "s.csv").write_text("time,unit\n" + "\n".join(f"{t},{u}" for t, u in rows()))
    assert words in complaint(tmp_path / "s.csv", bin_width=width)


# --- the tables


@pytest.mark.parametrize(
    ("name", "header", "order"),
    [
        ("s.csv", "time,unit", (0, 1)),
        ("s.csv", "neuron,spike times", (1, 0)),
        ("s.csv", "", (0, 1)),
        ("s.tsv", "T\tCluster", (0, 1)),
        ("s.txt", "unit_id time", (1, 0)),
        ("s.csv", "# sorted by hand\n\ntime;name", (0, 1)),
    ],
)
def test_text(tmp_path: Path, name: str, header: str, order: tuple[int, int]) -> None:
    delimiter = next((mark for mark in ",;\t" if mark in header), " " if name == "s.txt" else ",")
    lines = [delimiter.join(str(row[i]) for i in order) for row in rows()]
    (tmp_path / name).write_text("\n".join(filter(None, [header, *lines])))
    recording = read_recording(tmp_path / name, bin_width=0.1)
    np.testing.assert_array_equal(recording.spins, expected_spins())
    assert recording.names == tuple(BINNED)
    assert recording.attributes["bin_width"] == 0.1
    assert recording.attributes["spikes"] == 11
    np.testing.assert_array_equal(read_spins(tmp_path / name, bin_width=0.1), expected_spins())


def test_units_that_are_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,unit\n0.5,10\n1.5,9\n2.5,100\n3.5,9\n")
    assert read_recording(tmp_path / "s.csv", bin_width=1).names == ("9", "10", "100")


def test_more_columns_are_told_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("amplitude,time,unit\n" + "\n".join(f"9,{t},{u}" for t, u in rows()))
    np.testing.assert_array_equal(read_spins(tmp_path / "s.csv", bin_width=0.1), expected_spins())
    (tmp_path / "s.csv").write_text("a,b,c\n1,2,3\n")
    assert "3 columns named 'a', 'b', 'c'; with a bin width it must be" in complaint(tmp_path / "s.csv", bin_width=0.1)


def test_arrays(tmp_path: Path) -> None:
    numbers = {"<i>": 4, "a1": 7, "b": 20}
    times, units = np.array([time for time, _ in rows()]), np.array([numbers[unit] for _, unit in rows()])
    np.save(tmp_path / "s.npy", np.column_stack([times, units]))
    np.savez(tmp_path / "s.npz", spike_times=times, spike_clusters=units)
    np.savez(tmp_path / "table.npz", anything=np.column_stack([times, units]))
    for name in ("s.npy", "s.npz", "table.npz"):
        recording = read_recording(tmp_path / name, bin_width=0.1)
        np.testing.assert_array_equal(recording.spins, expected_spins())
        assert recording.names == ("4", "7", "20")
    np.save(tmp_path / "s.npy", np.column_stack([times, units + 0.5]))
    assert "has unit 7.5, which is no whole number" in complaint(tmp_path / "s.npy", bin_width=0.1)
    np.save(tmp_path / "s.npy", np.ones((4, 3)))
    assert "rows of time and unit" in complaint(tmp_path / "s.npy", bin_width=0.1)


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    times, units = zip(*rows(), strict=True)
    frame = pd.DataFrame({"channel": units, "x": 1.0, "time": times})
    frame.to_parquet(tmp_path / "s.parquet")
    recording = read_recording(tmp_path / "s.parquet", bin_width=0.1)
    np.testing.assert_array_equal(recording.spins, expected_spins())
    assert recording.names == tuple(BINNED)
    frame.loc[3, "channel"] = None
    frame.to_parquet(tmp_path / "s.parquet")
    assert "row 3 (counted from 0) has no unit" in complaint(tmp_path / "s.parquet", bin_width=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,unit\n0.1,a\n0.2\n", "row 1 (line 3) has 1 cells, where 2 are expected"),
        ("time,unit\n0.1,a\nsoon,b\n", "row 1 (line 3), column 0 'time' (counted from 0) holds 'soon'"),
        ("time,unit\n0.1,a\n,b\n", "spike 1 (counted from 0) has time nan"),
        ("time,unit\n0.1,a\n1e999,b\n", "has time inf"),
        ("time,unit\n", "names but no data"),
        ("0.1\n0.2\n", "has 1 columns"),
        ("time,unit\n0.1,a\n1e300,b\n", "look for a time that is far from all others"),
        ("time,unit\n0.1,a\n0.35,a\n", "one column only"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    assert words in complaint(tmp_path / "s.csv", bin_width=0.1)


def test_spins_are_no_spike_times(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "s.csv", np.ones((4, 5)), fmt="%d", delimiter=",")
    assert "leave the bin width out if the values are spins" in complaint(tmp_path / "s.csv", bin_width=1.0)


# --- NWB


def write_nwb(path: Path, **columns: list[str]) -> None:
    pynwb = pytest.importorskip("pynwb")
    start = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="test", identifier="test", session_start_time=start)
    for name in columns:
        file.add_unit_column(name, "a column")
    for number, times in enumerate(TIMES.values()):
        file.add_unit(spike_times=times, id=number + 40, **{name: values[number] for name, values in columns.items()})
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)


def test_nwb(tmp_path: Path) -> None:
    path = tmp_path / "s.nwb"
    write_nwb(path, quality=["good", "good", "fair"])
    recording = read_recording(path, bin_width=0.1)
    order = [list(BINNED).index(name) for name in TIMES]
    np.testing.assert_array_equal(recording.spins, expected_spins()[:, order])
    assert recording.names == ("40", "41", "42")
    np.testing.assert_array_equal(read_spins(path, key="/units", bin_width=0.1), recording.spins)
    assert "holds no 'lfp'" in complaint(path, key="lfp", bin_width=0.1)
    assert "give the width of the bins with bin_width=" in complaint(path)
    with pytest.raises(InputError, match="it holds no patterns"):
        read_patterns(path)
    write_nwb(path, unit_name=list(TIMES))
    assert read_recording(path, bin_width=0.1).names == tuple(TIMES)


def test_nwb_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "s.nwb"
    write_nwb(path)
    with h5py.File(path, "a") as file:
        file["units/spike_times_index"][1] = 200
    assert "spike_times_index does not divide 11 spike times" in complaint(path, bin_width=0.1)
    with h5py.File(path, "a") as file:
        del file["units/spike_times_index"]
        file["units/spike_times_index"] = h5py.ExternalLink("/etc/hostname", "units")
    assert "no column 'spike_times_index'" in complaint(path, bin_width=0.1)
    with h5py.File(path, "a") as file:
        del file["units"]
        file["units"] = h5py.SoftLink("/general")
    assert "holds no 'units'" in complaint(path, bin_width=0.1)
    path.write_text("time,unit\n")
    assert "named as NWB but holds no such data" in complaint(path, bin_width=0.1)


# --- other objects


def test_frame_of_pynapple() -> None:
    nap = pytest.importorskip("pynapple")
    spins = np.random.default_rng(1).choice([-1.0, 1.0], size=(50, 3))
    support = nap.IntervalSet(start=[0, 30], end=[19.5, 60])
    frame = nap.TsdFrame(t=np.arange(50.0), d=spins, columns=["v1", "hc", "<b>"], time_support=support)
    recording = read_recording(frame)
    inside = np.r_[0:20, 30:50]
    np.testing.assert_array_equal(recording.spins, spins[inside])
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], 20))
    assert recording.names == ("v1", "hc", "<b>")
    np.testing.assert_array_equal(read_spins(frame), spins[inside])
    assert "leave the bin width out" in complaint(frame, bin_width=1.0)
    assert "takes no key" in complaint(frame, key="a")
    spins[3, 1] = np.nan
    frame = nap.TsdFrame(t=np.arange(50.0), d=spins, columns=["v1", "hc", "<b>"])
    assert "the TsdFrame: row 3, column 1 'hc' (counted from 0) holds no value" in complaint(frame)


def test_group_of_pynapple_needs_a_width() -> None:
    nap = pytest.importorskip("pynapple")
    group = nap.TsGroup({0: nap.Ts(np.arange(5.0)), 1: nap.Ts(np.arange(3.0))})
    assert "the TsGroup holds spike times: give the width" in complaint(group)


def test_objects_that_are_no_recordings() -> None:
    assert "not from float" in complaint(3.5)
    assert "never change" in complaint(np.ones((3, 3)))


@pytest.mark.slow
def test_names_and_what_was_missing_are_in_the_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = rng.choice([-1.0, 1.0], size=(200, 3))
    values[rng.random(values.shape) < 0.1] = np.nan
    names = ["CA1 <b>7</b>", "été", "x" * 60]
    pd.DataFrame(values, columns=names).to_csv(tmp_path / "s.csv", index=False)
    command = ["report", str(tmp_path / "s.csv"), "--missing", "mask", "--output", str(tmp_path / "r.html")]
    result = CliRunner().invoke(app, [*command, "--n-jobs", "1"])
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert numbers["names"] == names
    attributes = numbers["data"]["attributes"]
    assert (attributes["missing"], attributes["masked_values"]) == ("mask", int(np.isnan(values).sum()))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "CA1 &lt;b&gt;7" in page
    assert "<b>7" not in page
    assert "masked values" in page


def test_fit_of_spike_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    units = ["CA1 <b>7</b>", "x" * 60, "été"]
    lines = [f"{time:.4f},{unit}" for unit in units for time in rng.uniform(0, 60, 150)]
    (tmp_path / "spikes.csv").write_text("time,unit\n" + "\n".join(lines), encoding="utf-8")
    command = ["fit", str(tmp_path / "spikes.csv"), "--bin-width", "0.1", "--output", str(tmp_path / "f.nc")]
    result = CliRunner().invoke(app, [*command, "--n-jobs", "1"])
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found["spin"].values.tolist() == units
        assert found.attrs["bin_width"] == 0.1


def test_fit_with_masked_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    values = rng.choice([-1, 1], size=(400, 4))
    np.savetxt(tmp_path / "s.csv", np.where(rng.random(values.shape) < 0.1, 0, values), fmt="%d", delimiter=",")
    command = ["fit", str(tmp_path / "s.csv"), "--missing", "mask", "--output", str(tmp_path / "f.nc"), "--n-jobs", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found.attrs["missing"] == "mask"
        assert found.attrs["samples"] == 400
        model = PseudoLikelihood(alpha=1 / 400, fit_fields=True, missing="mask").fit(
            read_recording(tmp_path / "s.csv", missing="mask")
        )
        np.testing.assert_allclose(found["couplings"], model.couplings_, atol=1e-12)
    result = CliRunner().invoke(app, [*command, "--method", "tap"])
    assert result.exit_code == 1
    assert "takes no masked values" in result.stderr
