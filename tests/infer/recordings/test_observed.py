"""Unobserved time counts as missing: intervals, trials, epochs and fixed ends, tested with known couplings."""

import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from infer.cli.commands import app
from infer.errors import InputError
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.recordings.bins import bin_spikes
from infer.recordings.recording import Recording, read_recording
from infer.recordings.spike_times import SpikeTimes

WIDTH = 0.05


def poisson(intervals: np.ndarray, n_units: int = 8, rate: float = 4.0, seed: int = 1) -> list[np.ndarray]:
    """Spike times of independent units that fire within the intervals only."""
    rng = np.random.default_rng(seed)
    times = [
        np.concatenate([rng.uniform(a, b, rng.poisson(rate * (b - a))) for a, b in intervals]) for _ in range(n_units)
    ]
    return [np.sort(each.round(5)) for each in times]


def write_nwb(path: Path, times: list[np.ndarray], obs: Any = None, **tables: np.ndarray) -> Path:
    """The part of an NWB file that is read, as pynwb lays it out (held to pynwb in another test)."""
    with h5py.File(path, "w") as file:
        file["units/id"] = np.arange(len(times))
        file["units/spike_times"] = np.concatenate(times)
        file["units/spike_times_index"] = np.cumsum([len(each) for each in times])
        if obs is not None:
            file["units/obs_intervals"] = np.concatenate(obs)
            file["units/obs_intervals_index"] = np.cumsum([len(each) for each in obs])
        for name, intervals in tables.items():
            file[f"intervals/{name}/start_time"], file[f"intervals/{name}/stop_time"] = np.transpose(intervals)
            file[f"intervals/{name}/id"] = np.arange(len(intervals))
    return path


def z_scores(recording: Recording) -> tuple[float, np.ndarray]:
    """Mean coupling, and couplings over their standard errors."""
    model = PseudoLikelihood(fit_fields=True).fit(recording)
    pairs = np.triu_indices(recording.n_spins, 1)
    return float(model.couplings_[pairs].mean()), model.couplings_[pairs] / model.couplings_std_[pairs]


# --- NWB


def test_paused_recording(tmp_path: Path) -> None:
    """Independent units, paused for half of the time: 400 s of which 200 to 400 were not recorded."""
    intervals = np.array([[0.0, 100.0], [300.0, 400.0]])
    times = poisson(intervals)
    recording = read_recording(write_nwb(tmp_path / "s.nwb", times, [intervals] * 8), bin_width=WIDTH)
    assert recording.spins.shape == (4000, 8)
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], 2000))
    mean, z = z_scores(recording)
    assert abs(mean) < 0.03  # 28 couplings with errors of about 0.03: five errors of their mean
    assert np.abs(z).max() < 4.0  # of 28 normal numbers: false alarms 0.2 %
    # without the intervals silence couples the units, and that is said
    path = write_nwb(tmp_path / "t.nwb", times)
    with pytest.warns(UserWarning, match="no unit fires between 99.* and 300"):
        silent = read_recording(path, bin_width=WIDTH)
    assert z_scores(silent)[0] > 0.1
    # invalid times say the same as intervals
    path = write_nwb(tmp_path / "u.nwb", times, invalid_times=np.array([[100.0, 300.0]]))
    invalid = read_recording(path, bin_width=WIDTH, start=0, stop=400)
    np.testing.assert_array_equal(invalid.spins, recording.spins)


def test_trials_of_a_second_every_two(tmp_path: Path) -> None:
    trials = np.column_stack([np.arange(200) * 2.0, np.arange(200) * 2.0 + 1.0])
    times = poisson(trials, rate=9.0, seed=3)
    path = write_nwb(tmp_path / "s.nwb", times, trials=trials)
    recording = read_recording(path, bin_width=WIDTH, epochs="trials")
    np.testing.assert_array_equal(recording.chains, np.repeat(np.arange(200), 20))
    _, z = z_scores(recording)
    assert np.abs(z).max() < 4.0
    # nobody fires outside of them: then they are the epochs, and that is said
    with pytest.warns(UserWarning, match="units fire only within the 200 intervals of 'trials'.*--epochs trials"):
        found = read_recording(path, bin_width=WIDTH)
    np.testing.assert_array_equal(found.spins, recording.spins)
    assert found.attributes["epochs"] == "trials"
    whole = read_recording(path, bin_width=WIDTH, epochs="all")
    assert (z_scores(whole)[1] > 3.7).all()
    with pytest.raises(InputError, match="has no epochs 'runs'; it has 'trials'"):
        read_recording(path, bin_width=WIDTH, epochs="runs")


def test_units_that_fire_between_trials_are_read_whole(tmp_path: Path) -> None:
    trials = np.column_stack([np.arange(50) * 2.0, np.arange(50) * 2.0 + 1.0])
    times = poisson(np.array([[0.0, 100.0]]))
    recording = read_recording(write_nwb(tmp_path / "s.nwb", times, trials=trials), bin_width=WIDTH)
    assert abs(len(recording.spins) - 2000) < 20
    assert len(np.unique(recording.chains)) == 1


def test_intervals_that_differ_between_units(tmp_path: Path) -> None:
    obs = [np.array([[0.0, 10.0]]), np.array([[0.0, 4.0], [6.02, 10.0]]), np.array([[5.0, 10.0]])]
    whole = poisson(np.array([[0, 10]]), 3)
    times = [each[(each > a) & (each < b)] for (a, b), each in zip([(0, 10), (0, 4), (5, 10)], whole, strict=True)]
    path = write_nwb(tmp_path / "s.nwb", times, obs)
    with pytest.raises(InputError, match="missing='drop'"):
        read_recording(path, bin_width=0.1)
    recording = read_recording(path, bin_width=0.1, missing="mask")
    expected = np.zeros((100, 3), dtype=bool)
    expected[40:61, 1] = True  # the bin from 6.0 on is not observed as a whole
    expected[:50, 2] = True
    np.testing.assert_array_equal(recording.spins == 0, expected)
    assert recording.attributes["unobserved_values"] == expected.sum()


def test_pynwb_writes_what_is_read(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
    file = pynwb.NWBFile("test", "test", datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC))
    file.add_unit_column("quality", "a judgement")
    for number, times in enumerate(poisson(np.array([[0.0, 20.0]]), 3)):
        file.add_unit(
            spike_times=times, obs_intervals=[[0.0, 8.0], [12.0, 20.0]], quality=["good", "mua", "good"][number]
        )
    for start in (0.0, 5.0, 13.0):
        file.add_trial(start_time=start, stop_time=start + 2.0)
    file.add_epoch(1.0, 3.0, ["run"])
    file.add_invalid_time_interval(start_time=14.0, stop_time=14.5)
    with pynwb.NWBHDF5IO(tmp_path / "s.nwb", "w") as io:
        io.write(file)
    recording = read_recording(tmp_path / "s.nwb", bin_width=0.1, units="quality=good", epochs="trials")
    assert recording.names == ("0", "2")
    np.testing.assert_array_equal(np.bincount(recording.chains), [20, 20, 10, 5])
    assert len(read_recording(tmp_path / "s.nwb", bin_width=0.1, epochs="epochs").spins) == 20
    assert len(read_recording(tmp_path / "s.nwb", bin_width=0.1).spins) == 80 + 75
    for units, words in [
        ("quality=best", "leaves 0 units"),
        ("depth=1", "has no column 'depth'"),
        ("7", "no unit '7'"),
    ]:
        with pytest.raises(InputError, match=words):
            read_recording(tmp_path / "s.nwb", bin_width=0.1, units=units)
    assert read_recording(tmp_path / "s.nwb", bin_width=0.1, units="0,1").names == ("0", "1")
    assert read_recording(tmp_path / "s.nwb", bin_width=0.1, units=["2", "0"]).names == ("2", "0")


# --- epochs from elsewhere


def test_epochs_of_any_kind(tmp_path: Path) -> None:
    times = {"a": [0.1, 1.15, 2.1, 3.2], "b": [0.3, 1.3, 2.3, 3.3]}
    table = pd.DataFrame({"start": [1.0, 3.0], "stop": [1.4, 3.4], "kind": ["x", "y"]})
    table[["start", "stop"]].to_csv(tmp_path / "epochs.csv", index=False)
    expected = [[-1, -1], [1, -1], [-1, -1], [-1, 1], [-1, -1], [-1, -1], [1, -1], [-1, 1]]
    for epochs in ([[1.0, 1.4], [3.0, 3.4]], table, tmp_path / "epochs.csv", str(tmp_path / "epochs.csv")):
        recording = read_recording(times, bin_width=0.1, epochs=epochs)
        np.testing.assert_array_equal(recording.spins, expected)
        np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], 4))
    wrong = [([[2.0, 1.0]], "start comes first"), ([[0, np.nan]], "start comes first"), ([1, 2, 3], "shape")]
    for epochs, words in [*wrong, ("x", "names no intervals")]:
        with pytest.raises(InputError, match=words):
            read_recording(times, bin_width=0.1, epochs=epochs)


def test_epochs_of_pynapple() -> None:
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    times = poisson(np.array([[0.0, 20.0]]), 3)
    group = nap.TsGroup({k: nap.Ts(each) for k, each in enumerate(times)}, time_support=nap.IntervalSet(0, 20))
    epochs = nap.IntervalSet([2, 11], [4, 12])
    recording = read_recording(group, bin_width=0.1, epochs=epochs)
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], [20, 10]))
    np.testing.assert_array_equal(recording.spins > 0, group.restrict(epochs).count(0.1).values > 0)
    frame = nap.TsdFrame(t=np.arange(200) / 10, d=recording.spins[np.arange(200) % 30], columns=list("abc"))
    part = read_recording(frame, epochs=epochs)
    np.testing.assert_array_equal(part.chains, np.repeat([0, 1], [20, 10]))
    assert part.names == ("a", "b", "c")


def test_rows_with_times_take_epochs(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).choice([-1, 1], (100, 3)), columns=list("abc"))
    frame.insert(0, "time", np.arange(100) / 10)
    frame.to_csv(tmp_path / "s.csv", index=False)
    recording = read_recording(tmp_path / "s.csv", epochs=[[1.0, 2.0], [5.0, 5.5]])
    np.testing.assert_array_equal(recording.spins, frame.to_numpy()[np.r_[10:20, 50:55], 1:])
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], [10, 5]))
    with pytest.raises(InputError, match="time_column="):
        read_recording(frame.to_numpy()[:, 1:], epochs=[[1.0, 2.0]])


# --- trials with clocks of their own


def test_a_trial_column_makes_runs(tmp_path: Path) -> None:
    """30 trials of 200 bins: 6000 rows, not 200."""
    rng = np.random.default_rng(5)
    rows = [(trial, round(t, 3), unit) for trial in range(30) for unit in range(5) for t in rng.uniform(0, 2, 3)]
    rows += [(0, 0.0, 0), (0, 1.999, 0)]
    frame = pd.DataFrame(rows, columns=["trial", "time", "unit"])
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    np.savez(tmp_path / "s.npz", **{name: frame[name] for name in frame})
    for source in (tmp_path / "s.csv", tmp_path / "s.parquet", tmp_path / "s.npz", frame):
        recording = read_recording(source, bin_width=0.01)
        assert recording.spins.shape == (6000, 5)
        np.testing.assert_array_equal(recording.chains, np.repeat(np.arange(30), 200))
        assert abs((recording.spins > 0).mean() - 0.0149) < 0.001
        at = frame[frame.trial == 7]
        own = np.zeros((200, 5), dtype=bool)
        own[np.floor(at.time * 100 + 1e-9).astype(int), at.unit] = True
        np.testing.assert_array_equal(recording.spins[recording.chains == 7] > 0, own)
    fixed = read_recording(tmp_path / "s.csv", bin_width=0.01, start=-0.5, stop=2.5)
    assert fixed.spins.shape == (9000, 5)


def test_trials_without_spikes_and_trials_on_one_clock() -> None:
    frame = pd.DataFrame({"trial": [1, 1, 3, 3], "time": [0.1, 0.9, 0.2, 0.8], "unit": [0, 1, 1, 0]})
    recording = read_recording(frame, bin_width=0.1, constant="keep")
    np.testing.assert_array_equal(np.bincount(recording.chains), [9, 9, 9])  # trial 2 was silent
    assert "1 of them without a spike" in recording.attributes["notes"][0]
    frame["time"] = [0.1, 0.9, 5.2, 5.8]
    frame["trial"] = ["x", "x", "y", "y"]
    recording = read_recording(frame, bin_width=0.1)
    np.testing.assert_array_equal(np.bincount(recording.chains), [9, 7])
    assert "their times follow each other" in recording.attributes["notes"][1]


def test_lists_of_trials_and_units() -> None:
    trials = [[[0.1, 0.5], [0.3]], [[], [0.2, 0.6]], [[0.0], [0.1]]]
    recording = read_recording(trials, bin_width=0.1)
    np.testing.assert_array_equal(np.bincount(recording.chains), [7, 7, 7])
    np.testing.assert_array_equal(np.argwhere(recording.spins[7:14] > 0), [[2, 1], [6, 1]])
    cells = np.empty((3, 2), dtype=object)
    for i, trial in enumerate(trials):
        for k, times in enumerate(trial):
            cells[i, k] = np.array(times)
    np.testing.assert_array_equal(read_recording(cells, bin_width=0.1).spins, recording.spins)


# --- fixed ends, exact ends


def test_fixed_ends_fix_the_number_of_rows(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,unit\n0.5,a\n1.5,b\n7.25,a\n")
    recording = read_recording(tmp_path / "s.csv", bin_width=0.1, start=0, stop=12.3)
    assert recording.spins.shape == (123, 2)
    assert recording.attributes["first_bin_edge"] == 0.0
    assert read_recording(tmp_path / "s.csv", bin_width=0.1, start=1.0).spins.shape == (63, 2)
    with pytest.raises(InputError, match="look at start and stop"):
        read_recording(tmp_path / "s.csv", bin_width=0.1, start=3, stop=2)
    with pytest.raises(InputError, match="start must be a finite number"):
        read_recording(tmp_path / "s.csv", bin_width=0.1, start=np.nan)
    command = ["fit", str(tmp_path / "s.csv"), "--bin-width", "0.1", "--start", "0", "--stop", "12.3"]
    result = CliRunner().invoke(app, [*command, "--output", str(tmp_path / "f.nc"), "--n-jobs", "1"])
    assert "2 spins from 123 samples" in result.stdout, result.output


def test_ends_of_intervals_are_decimal_numbers() -> None:
    def n_bins(intervals: Any, width: float) -> int:
        spikes = SpikeTimes(np.array([0.0, 0.75]), np.array([0, 1]), ("a", "b"), np.asarray(intervals, dtype=float))
        return len(bin_spikes("s", spikes, width).values)

    assert n_bins([[0, 0.1 + 0.7]], 0.1) == 8
    assert n_bins([[0.1 + 0.2, 0.3 + 0.6]], 0.1) == 6
    assert n_bins([[0, 0.8 - 1e-6]], 0.1) == 7
    starts = np.cumsum(np.full(200, 1.7)) - 1.7
    assert n_bins(np.column_stack([starts, starts + 1.2]), 0.02) == 200 * 60
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    support = nap.IntervalSet(0, 0.1 + 0.7)
    group = nap.TsGroup({k: nap.Ts(np.array([0.05, 0.35 + k / 10])) for k in range(2)}, time_support=support)
    assert len(read_recording(group, bin_width=0.1).spins) == 8


def random_train(rng: np.random.Generator) -> tuple[Fraction, int, Fraction, np.ndarray]:
    """Width, number of bins and start as decimal numbers, and spike times that may lie on edges."""
    width = Fraction(int(rng.choice([1, 2, 5, 10, 20, 25, 50, 100])), 1000)
    n_bins, start = int(rng.integers(2, 60)), Fraction(int(rng.integers(0, 5000)), 1000)
    ticks = rng.integers(0, int(n_bins * width * 1000), int(rng.integers(1, 40)))
    return width, n_bins, start, np.unique([float(start + Fraction(int(tick), 1000)) for tick in ticks])


@pytest.mark.slow
@pytest.mark.parametrize("library", ["pynapple", "elephant"])
def test_bins_equal_those_of_other_libraries(library: str) -> None:
    """1000 trains whose ends, widths and many times are decimal numbers."""
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed") if library == "pynapple" else None
    if nap is None:
        pytest.importorskip("elephant", reason="elephant is not installed")
    differing = []
    rng = np.random.default_rng(12)
    for number in range(1000):
        width, n_bins, start, times = random_train(rng)
        stop = start + n_bins * width
        ends = np.array([[float(start), float(stop)]])
        spins = bin_spikes("s", SpikeTimes(times, np.zeros(len(times), int), ("a",), ends), float(width)).values[:, 0]
        exact = np.zeros(n_bins, dtype=bool)
        exact[[int((Fraction(repr(float(t))) - start) // width) for t in times]] = True
        np.testing.assert_array_equal(spins > 0, exact)
        if nap is not None:
            train = nap.Ts(times, time_support=nap.IntervalSet(*ends[0]))
            other = np.asarray(train.count(float(width)).values).ravel() > 0
        else:
            other = elephant_bins(times, width, n_bins, start, stop)
        if not np.array_equal(spins > 0, other):
            differing.append((number, float(width), n_bins, float(start)))
    assert not differing, (len(differing), differing[:5])


def elephant_bins(times: np.ndarray, width: Fraction, n_bins: int, start: Fraction, stop: Fraction) -> np.ndarray:
    """Which bins elephant finds a spike in."""
    import warnings

    import neo
    import quantities
    from elephant.conversion import BinnedSpikeTrain

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train = neo.SpikeTrain(times, units="s", t_start=float(start), t_stop=float(stop))
        binned = BinnedSpikeTrain([train], bin_size=float(width) * quantities.s)
        return np.asarray(binned.to_bool_array())[0]
