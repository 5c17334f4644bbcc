"""Formats are added with one file and one line, and files are read in forked processes too."""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import infer.recordings.child_process
from infer.errors import InputError
from infer.recordings.formats import registry
from infer.recordings.recording import read_couplings, read_recording

SPINS = np.random.default_rng(5).choice(np.array([-1, 1], dtype=np.int8), size=(24, 5))

# a format of signs, "+-+" a row, in a file of its own
SIGNS = """
import numpy as np
from infer.recordings.format import Format
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table


def read_signs(path, content, key):
    if path.stem == "hanging":
        import time
        time.sleep(1000)
    rows = path.read_text().split()[1:]
    return Table(np.array([[1 if sign == "+" else -1 for sign in row] for row in rows], dtype=np.int8))


def read_clicks(path, key):
    times = np.array([float(word) for word in path.read_text().split()[1:]])
    return SpikeTimes(times, np.arange(len(times)) % 2, ("left", "right"))


FORMAT = Format(
    name="signs",
    endings=(".signs",),
    magic=(b"SIGNS",),
    read_table=read_signs,
    read_spikes=read_clicks,
    guarded=True,
)
"""
ONE_LINE = "registry.FORMATS.append(importlib.import_module('signs_for_tests').FORMAT)"


@pytest.fixture
def signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The format in a temporary file, and the one line."""
    infer.recordings.child_process._end()
    (tmp_path / "signs_for_tests.py").write_text(SIGNS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "FORMATS", registry.FORMATS.copy())
    monkeypatch.setattr("infer.recordings.read.FORMATS", registry.FORMATS)
    exec(ONE_LINE, {"registry": registry, "importlib": importlib})
    yield
    sys.modules.pop("signs_for_tests", None)
    infer.recordings.child_process._end()


@pytest.mark.slow
def test_a_format_is_one_file_and_one_line(tmp_path: Path, signs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.signs"
    path.write_text("SIGNS\n" + "\n".join("".join("+" if value > 0 else "-" for value in row) for row in SPINS))
    np.testing.assert_array_equal(read_recording(path).spins, SPINS)
    path.write_text("SIGNS 0.5 1.5 2.5 3.5")
    np.testing.assert_array_equal(read_recording(path, bin_width=1).spins, [[1, -1], [-1, 1]] * 2)
    path.write_text("+-")
    with pytest.raises(InputError, match="named as signs but holds no such data"):
        read_recording(path)
    path.with_suffix(".xyz").write_text("1")
    with pytest.raises(InputError, match=r"unknown ending '\.xyz'; known are .*\.nwb, .*\.signs"):
        read_recording(path.with_suffix(".xyz"))
    # it is guarded as the others are
    monkeypatch.setattr(infer.recordings.child_process, "SECONDS", 0.5)
    monkeypatch.setattr(infer.recordings.child_process, "PATIENCE", 1.0)
    (tmp_path / "hanging.signs").write_text("SIGNS +-")
    with pytest.raises(InputError, match="it was still not read"):
        read_recording(tmp_path / "hanging.signs")


def test_no_two_formats_claim_the_same_ending() -> None:
    endings = [ending for form in registry.FORMATS for ending in form.endings]
    assert len(endings) == len(set(endings))
    assert all(ending == ending.lower() and ending.startswith(".") for ending in endings)


# --- forked processes


@pytest.fixture
def netcdf(tmp_path: Path) -> Path:
    path = tmp_path / "s.nc"
    with h5py.File(path, "w") as file:
        file["spins"] = SPINS
        file["couplings"] = np.zeros((5, 5))
    return path


def outcome_of_fork(function, seconds: float = 60.0) -> int:
    """Exit status of a forked child; a child that does not end is killed, which gives another status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("locked", [False, True])
def test_forked_children_read_files(netcdf: Path, locked: bool) -> None:
    """The child process of the parent serves the parent only, and a lock held in the parent at the fork stays there."""
    expected = read_recording(netcdf).spins
    before = infer.recordings.child_process._worker.process.pid

    def read_again() -> None:
        for _ in range(2):
            np.testing.assert_array_equal(read_recording(netcdf).spins, expected)
        assert infer.recordings.child_process._worker.process.pid != before
        infer.recordings.child_process._end()

    if locked:
        with infer.recordings.child_process._lock:
            assert outcome_of_fork(read_again) == 0
    else:
        assert outcome_of_fork(read_again) == 0
    # the parent's own is undisturbed
    assert read_couplings(netcdf).shape == (5, 5)
    assert infer.recordings.child_process._worker.process.pid == before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_before_the_first_file_is_read_reads_files(netcdf: Path) -> None:
    infer.recordings.child_process._end()

    def read() -> None:
        assert infer.recordings.child_process._worker is None
        assert read_recording(netcdf).spins.shape == SPINS.shape
        infer.recordings.child_process._end()

    assert outcome_of_fork(read) == 0
    assert infer.recordings.child_process._worker is None
    np.testing.assert_array_equal(read_recording(netcdf).spins, SPINS)


def read_in_pool(path: Path) -> int:
    """Sum of the spins, for a pool of processes."""
    return int(read_recording(path).spins.sum(dtype=int))


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_pools_of_forked_processes_read_files(netcdf: Path) -> None:
    expected = read_in_pool(netcdf)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(read_in_pool, [netcdf] * 4).get(timeout=60) == [expected] * 4
