"""Recognition of axes, columns and values of a table as spins, and errors where it is ambiguous."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from infer.cli.commands import app
from infer.errors import InputError
from infer.estimators.mean_field import MeanField
from infer.recordings.recording import match_events, read_recording
from infer.report.analysis import analyse
from tests.infer.recordings.lab_files import NAMES, REAL, SPINS


def complaint(*args: Any, **kwargs: Any) -> str:
    """The message of the error, which must be one line."""
    with pytest.raises(InputError) as caught:
        read_recording(*args, **kwargs)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ([f"S01E{k:02}" for k in range(len(SPINS))], "column 0 holds row names and was left out"),
        (range(len(SPINS)), "column 0 holds row numbers and was left out"),
    ],
)
def test_rows_are_named_or_numbered(tmp_path: Path, index: Any, said: str) -> None:
    pd.DataFrame(SPINS, columns=NAMES, index=index).to_csv(tmp_path / "s.csv")
    recording = read_recording(tmp_path / "s.csv")
    assert list(recording.attributes["notes"]) == [said]
    np.testing.assert_array_equal(recording.spins, SPINS)


def test_units_in_rows_are_asked_about(tmp_path: Path) -> None:
    """600 units x 40 times, not 600 spins from 40 samples."""
    values = np.random.default_rng(1).normal(size=(40, 600))
    np.save(tmp_path / "s.npy", values)
    message = complaint(tmp_path / "s.npy", threshold="median")
    assert "40 rows and 600 columns" in message
    assert "transpose=True (--transpose on the command line)" in message
    assert read_recording(tmp_path / "s.npy", threshold="median", transpose=True).spins.shape == (600, 40)
    assert read_recording(tmp_path / "s.npy", threshold="median", axes="unit,time").spins.shape == (600, 40)
    assert read_recording(tmp_path / "s.npy", threshold="median", transpose=False).spins.shape == (40, 600)
    assert "give one of the two" in complaint(tmp_path / "s.npy", threshold="median", transpose=True, axes="unit,time")
    assert "must name time and unit once each" in complaint(tmp_path / "s.npy", threshold=0, axes="unit,unit")
    # rows named like units below times
    frame = pd.DataFrame(REAL.T[:, :3], index=pd.Index(NAMES, name="roi"), columns=[0.0, 0.1, 0.2])
    frame.to_csv(tmp_path / "s.csv")
    assert "named like units ('a', ...) and the columns like times (0.0, 0.1, ...)" in complaint(
        tmp_path / "s.csv", threshold="mean"
    )


def test_three_axes(tmp_path: Path) -> None:
    values = np.random.default_rng(1).choice([-1, 1], size=(5, 4, 20))  # runs x units x time
    assert "shape (5, 4, 20), read as trials x time x units" in complaint(values)
    recording = read_recording(values, axes="run,unit,time")
    np.testing.assert_array_equal(recording.spins.reshape(5, 20, 4), values.transpose(0, 2, 1))
    np.testing.assert_array_equal(recording.chains, np.repeat(np.arange(5), 20))
    np.savez(tmp_path / "s.npz", raster=values)
    np.testing.assert_array_equal(read_recording(tmp_path / "s.npz", axes="run,unit,time").spins, recording.spins)
    assert "must name run and time and unit" in complaint(values, axes="time,unit")


def test_columns_are_chosen(tmp_path: Path) -> None:
    frame = pd.DataFrame(SPINS, columns=NAMES).assign(depth=np.arange(60) * 0.5, label="x")
    frame.to_csv(tmp_path / "s.csv", index=False)
    for options in ({"columns": "a,b,3"}, {"columns": ["a", "b", "d"]}, {"units": "a,b,d"}):
        recording = read_recording(tmp_path / "s.csv", **options)
        assert recording.names == ("a", "b", "d")
        np.testing.assert_array_equal(recording.spins, SPINS[:, [0, 1, 3]])
    recording = read_recording(tmp_path / "s.csv", index_column="label,depth")
    assert recording.names == NAMES
    assert "column 5 'label' (counted from 0) holds 'x'" in complaint(tmp_path / "s.csv", index_column="depth")
    assert "index_column='label' (--index-column 'label'" in complaint(tmp_path / "s.csv", index_column="depth")
    assert "has no column 'e'; it has 'a', 'b'" in complaint(tmp_path / "s.csv", columns="e")
    command = ["fit", str(tmp_path / "s.csv"), "--columns", "a,b", "--output", str(tmp_path / "f.nc"), "--n-jobs", "1"]
    assert "couplings of 2 spins" in CliRunner().invoke(app, command).stdout


@pytest.mark.parametrize("name", ["time", "Time", "t", "timestamps", "Unnamed: 0", "", "index"])
def test_times_and_row_numbers_are_no_spins(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame(REAL, columns=NAMES)
    frame.insert(0, name, np.arange(60))
    frame.to_csv(tmp_path / "s.csv", index=False)
    recording = read_recording(tmp_path / "s.csv", threshold=1.0)
    np.testing.assert_array_equal(recording.spins, SPINS)
    assert recording.names == NAMES
    assert "left out" in recording.attributes["notes"][0]
    command = ["fit", str(tmp_path / "s.csv"), "--threshold", "1", "--output", str(tmp_path / "f.nc"), "--n-jobs", "1"]
    result = CliRunner().invoke(app, command)
    assert "note: column 0" in result.stderr


def test_a_column_that_grows_is_refused_where_values_are_real(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.column_stack([np.arange(60) * 0.1, REAL]))
    message = complaint(tmp_path / "s.npy", threshold="median")
    assert "column 0 only grows, from 0 to 5.9" in message
    assert "index_column=0 (--index-column 0 on the command line)" in message
    np.testing.assert_array_equal(read_recording(tmp_path / "s.npy", threshold=1, index_column=0).spins, SPINS)
    kept = read_recording(tmp_path / "s.npy", threshold="mean", columns="0,1,2,3,4")
    assert kept.spins.shape == (60, 5)
    assert "with index_column=0" in complaint(np.column_stack([np.arange(60), SPINS]))


def test_trials_in_a_column_are_runs(tmp_path: Path) -> None:
    frame = pd.DataFrame(SPINS, columns=NAMES).assign(trial=np.repeat([3, 5, 4], 20))
    recording = read_recording(frame)
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1, 2], 20))
    assert recording.names == NAMES
    frame["trial"] = np.repeat(["rest", "task", "rest again"], 20)
    frame.to_csv(tmp_path / "s.csv", index=False)
    np.testing.assert_array_equal(read_recording(tmp_path / "s.csv").chains, recording.chains)


@pytest.mark.slow
def test_votes_and_missing_ones(tmp_path: Path) -> None:
    words = np.where(SPINS > 0, "y", "n").astype(object)
    words[3, 1] = "?"
    pd.DataFrame(words, columns=NAMES).to_csv(tmp_path / "s.csv", index=False)
    expected = SPINS.copy()
    expected[3, 1] = 0
    np.testing.assert_array_equal(read_recording(tmp_path / "s.csv", missing="mask").spins, expected)
    assert "row 3 (line 5), column 1 'b' (counted from 0) holds no value" in complaint(tmp_path / "s.csv")
    pd.DataFrame(np.where(SPINS > 0, "Yes", "No"), columns=NAMES).to_csv(tmp_path / "s.csv", sep="\t", index=False)
    np.testing.assert_array_equal(read_recording(tmp_path / "s.csv").spins, SPINS)
    pd.DataFrame(SPINS > 0, columns=NAMES).to_csv(tmp_path / "s.csv", index=False)
    assert "--zero-one" in complaint(tmp_path / "s.csv")
    words[5, 0] = "maybe"
    pd.DataFrame(words, columns=NAMES).to_csv(tmp_path / "s.csv", index=False)
    assert "column 0 'a' (counted from 0) holds 'maybe', which is not a number" in complaint(tmp_path / "s.csv")


def test_words_of_unequal_lengths(tmp_path: Path) -> None:
    (tmp_path / "s.dat").write_text("0110\n1001\n" * 15 + "01x0\n")
    assert "row 30 (line 31) holds '01x0', where words of 4 letters" in complaint(tmp_path / "s.dat", zero_one=True)
    (tmp_path / "s.dat").write_text("+-+\n-++\n--+\n+--\n")
    np.testing.assert_array_equal(read_recording(tmp_path / "s.dat").spins[1], [-1, 1, 1])


def test_counts_need_a_threshold(tmp_path: Path) -> None:
    counts = np.where(SPINS > 0, 2, 0)
    np.savez(tmp_path / "s.npz", counts=counts)
    assert "threshold=0 (--threshold 0), which makes one or more +1" in complaint(tmp_path / "s.npz", zero_one=True)
    np.testing.assert_array_equal(read_recording(tmp_path / "s.npz", threshold=0).spins, SPINS)


# --- thresholds


def test_medians_and_means_are_those_of_each_run() -> None:
    """Two runs of independent units whose levels differ between the runs."""
    rng = np.random.default_rng(2)
    runs = rng.normal(size=(2, 2000, 8)) + np.array([0.0, 1.0])[:, None, None]
    pairs = np.triu_indices(8, 1)
    for threshold in ("median", "mean"):
        own = read_recording(runs, threshold=threshold)
        whole = read_recording(runs.reshape(-1, 8), threshold=threshold)
        mean = MeanField().fit(own).couplings_[pairs].mean()
        assert abs(mean) < 0.02  # five errors: 28 couplings of standard error 0.016
        assert MeanField().fit(whole).couplings_[pairs].mean() > 0.05
        level = getattr(np, threshold)(runs, axis=1, keepdims=True)
        np.testing.assert_array_equal(own.spins.reshape(runs.shape) > 0, runs > level)


def test_ties_at_the_median_are_said(tmp_path: Path) -> None:
    values = REAL.copy()
    values[:, 2] = np.where(np.arange(60) < 36, 7.0, np.arange(60) / 10)
    message = complaint(values, threshold="median")
    assert "60 % of column 2 equals its largest value, 7" in message
    assert "threshold=6.45 (--threshold 6.45)" in message
    assert "constant" not in message
    values[:, 2] = 4.0
    assert "column 2 is 4 in all rows" in complaint(values, threshold="median")
    # at the threshold is below it
    assert read_recording(np.array([[1.0, 2], [2, 1], [3, 3]]), threshold=2.0).spins.tolist() == [
        [-1, -1],
        [-1, -1],
        [1, 1],
    ]


# --- times that are hardly meant


def table(times: Any, units: Any) -> pd.DataFrame:
    return pd.DataFrame({"time": times, "unit": units})


def test_milliseconds_taken_as_seconds() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 60_000, 1000)).round(1)
    with pytest.warns(UserWarning, match=r"0\.0\d+ % of the values are \+1 in 11\d{5} rows; .*bin_width=50"):
        read_recording(table(times, np.arange(1000) % 5), bin_width=0.05)
    read_recording(table(times / 1000, np.arange(1000) % 5), bin_width=0.05)


def test_a_clock_that_was_reset() -> None:
    rng = np.random.default_rng(0)
    parts = [np.sort(rng.uniform(0, 100, 400)).round(3) for _ in range(2)]
    with pytest.warns(UserWarning, match="times go back from 99.* to 0.*clock that was reset"):
        read_recording(table(np.concatenate(parts), np.arange(800) % 5), bin_width=0.05)
    # in no order at all, or unit by unit: nothing to say
    shuffled = rng.permutation(np.concatenate(parts))
    read_recording(table(shuffled, np.arange(800) % 5), bin_width=0.05)
    read_recording(table(np.concatenate(parts), np.repeat([0, 1], 400)), bin_width=0.05)


def test_a_lone_negative_time() -> None:
    rng = np.random.default_rng(0)
    times = np.r_[-1.0, np.sort(rng.uniform(0, 100, 400)).round(3)]
    with pytest.warns(UserWarning, match=r"1 of 401 times is negative \(the first is -1\).*start=0"):
        read_recording(table(times, np.arange(401) % 5), bin_width=0.05)
    recording = read_recording(table(times, np.arange(401) % 5), bin_width=0.05, start=0)
    assert recording.attributes["spikes_outside_bins"] == 1


# --- weights, and what must survive


def test_weights_in_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shares, counts = rng.uniform(0.5, 2.0, 60), rng.integers(1, 5, 60)
    np.savez(tmp_path / "s.npz", spins=SPINS, weights=shares)
    recording = read_recording(tmp_path / "s.npz")
    assert recording.weight_kind == "shares"
    np.testing.assert_allclose(recording.n_samples, min(shares.sum(), shares.sum() ** 2 / (shares**2).sum()))
    np.testing.assert_allclose(
        MeanField().fit(recording).couplings_, MeanField().fit(SPINS, sample_weight=shares).couplings_
    )
    np.savez(tmp_path / "s.npz", spins=SPINS, weights=counts.astype(float))
    recording = read_recording(tmp_path / "s.npz")
    assert recording.weight_kind == "counts"
    assert recording.n_samples == counts.sum()
    for weights, words in [
        (shares / shares.sum(), "add up to 1"),
        (-shares, "weights of row 0"),
        (shares[:5], "must be 60 numbers"),
    ]:
        np.savez(tmp_path / "s.npz", spins=SPINS, weights=weights)
        assert words in complaint(tmp_path / "s.npz")
    np.savez(tmp_path / "s.npz", spins=SPINS, weights=shares, counts=counts)
    assert "both counts and weights" in complaint(tmp_path / "s.npz")


def test_a_column_called_spins() -> None:
    frame = pd.DataFrame(SPINS, columns=["spins", "b", "values", "columns"])
    assert read_recording(frame).names == ("spins", "b", "values", "columns")
    np.testing.assert_allclose(MeanField().fit(frame).couplings_, MeanField().fit(SPINS).couplings_)


def test_names_and_epochs_survive_in_a_report() -> None:
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    support = nap.IntervalSet([0, 30], [19.5, 69.5])
    spins = np.tile(SPINS, (2, 1))
    frame = nap.TsdFrame(t=np.arange(120.0), d=spins, columns=list(NAMES), time_support=support)
    recording = read_recording(frame)
    analysis = analyse(recording, seed=0, n_jobs=1)
    assert tuple(analysis.names) == NAMES
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], [20, 40]))


def test_events_of_a_file_whose_rows_were_dropped(tmp_path: Path) -> None:
    values = SPINS.astype(float)
    values[[4, 17], [0, 2]] = np.nan
    np.save(tmp_path / "s.npy", values)
    recording = read_recording(tmp_path / "s.npy", missing="drop")
    labels = [str(row) for row in range(60)]
    kept = [label for row, label in enumerate(labels) if row not in (4, 17)]
    assert match_events(recording, labels) == kept == match_events(recording, kept)
    with pytest.raises(
        InputError, match=r"50 labels were given for 58 rows of .*rows 0, 1, 2, 3, 5, ... of 60 are left"
    ):
        match_events(recording, labels[:50])


def test_polars_frames() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.read_csv(io.BytesIO(pd.DataFrame(SPINS, columns=NAMES).to_csv(index=False).encode()))
    recording = read_recording(frame)
    np.testing.assert_array_equal(recording.spins, SPINS)
    assert recording.names == NAMES
